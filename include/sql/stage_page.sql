-- Decode a whole page: nothing of it is left to fail after this. `page_rows` is a view on the file.
insert into incoming by name
select
    *,
    $page as page
from page_rows;

insert into pages
select
    $page as page,
    $file_name as file_name,
    $file_modified_at as file_modified_at;
