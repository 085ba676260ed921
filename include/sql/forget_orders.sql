-- Whatever of these orders does not come again is gone: the next build has to look.
insert into raw.removed_orders by name
select distinct order_id
from raw.{table}
where
    source = $owner
    and file_name in (select file_name from raw.landed_files where source = $source);
