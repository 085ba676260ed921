-- A file that comes again under its name tells the whole truth about the orders in it: where lines
-- have no numbers, a changed line is a new line, and the old one must go. Whichever version arrives
-- last, the later one counts.
create or replace temp table truth as
with

told as (
    select
        incoming.order_id,
        pages.file_name,
        pages.file_modified_at
    from incoming
    inner join pages
        on incoming.page = pages.page
    union all
    select
        order_id,
        file_name,
        file_modified_at
    from raw.order_lines
    where
        source = $source
        and order_id in (select order_id from incoming)
)

select
    order_id,
    file_name,
    max(file_modified_at) as file_modified_at
from told
group by
    order_id,
    file_name;

delete from incoming
using pages, truth
where
    incoming.page = pages.page
    and incoming.order_id = truth.order_id
    and pages.file_name = truth.file_name
    and pages.file_modified_at < truth.file_modified_at;

insert into raw.removed_orders by name
select distinct held.order_id
from raw.order_lines as held
inner join truth
    on held.order_id = truth.order_id
where
    held.source = $source
    and held.file_name = truth.file_name
    and held.file_modified_at < truth.file_modified_at;

delete from raw.order_lines as held
using truth
where
    held.source = $source
    and held.order_id = truth.order_id
    and held.file_name = truth.file_name
    and held.file_modified_at < truth.file_modified_at;
