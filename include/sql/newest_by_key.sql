-- Of the versions of a record that arrived together, only the newest is merged. Pages are numbered in
-- the order of their names and times, so position is the sequence.
create or replace temp table chosen as
select last(rowid order by updated_at nulls first, rowid) as position
from incoming
group by {key};

create or replace temp view arrived as
select
    *,
    rowid as position
from incoming
where rowid in (select position from chosen);
