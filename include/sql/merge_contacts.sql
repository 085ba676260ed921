-- Newest version wins, whatever the order of arrival; an equal version changes nothing.
merge into raw.contacts as held
using (
    select
        $source as source,
        incoming.* exclude (page),
        pages.file_name,
        pages.file_modified_at,
        incoming.rowid - pages.first_position + 1 as row_number
    from incoming
    inner join pages
        on incoming.page = pages.page
    qualify row_number() over (
        partition by incoming.customer_id
        order by
            incoming.updated_at desc nulls last,
            incoming.rowid desc
    ) = 1
) as arrived
    on
        held.source = arrived.source
        and held.customer_id = arrived.customer_id
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
