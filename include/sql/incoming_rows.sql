create or replace temp table placed as
select
    page,
    count(*) as rows,
    min(rowid) as first_position
from incoming
group by page;

select
    page,
    rows
from placed;
