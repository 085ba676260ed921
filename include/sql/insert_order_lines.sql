-- The first load of a shop: there is nothing to merge with.
insert into raw.order_lines by name
select
    $source as source,
    lines.* exclude (page, part, position),
    pages.file_name,
    pages.file_modified_at,
    lines.position - pages.first_position + 1 as row_number
from lines
inner join pages
    on lines.page = pages.page;
