-- Newest version wins, whatever the order of arrival; an equal version changes nothing.
merge into raw.order_lines as held
using (
    select
        $source as source,
        lines.* exclude (page, part, position),
        pages.file_name,
        pages.file_modified_at,
        lines.position - pages.first_position + 1 as row_number
    from lines
    inner join pages
        on lines.page = pages.page
) as arrived
    on
        held.source = arrived.source
        and held.order_id = arrived.order_id
        and held.line_id = arrived.line_id
when matched and (
    coalesce(arrived.updated_at, '-infinity'),
    arrived.file_name,
    arrived.file_modified_at,
    arrived.row_number
) > (
    coalesce(held.updated_at, '-infinity'),
    held.file_name,
    held.file_modified_at,
    held.row_number
) then update by name
when not matched then insert by name;
