-- Of the versions of a line that arrived together, only the newest is merged. Pages are numbered in
-- the order of their names and times, so position is the sequence.
create or replace temp table chosen as
select last(rowid order by updated_at nulls first, rowid) as position
from incoming
group by
    order_id,
    line_id;

create or replace temp view lines as
select
    incoming.*,
    chosen.position
from incoming
inner join chosen
    on incoming.rowid = chosen.position;
