-- The shop numbers the lines of an order itself.
create or replace temp view lines as
select
    *,
    rowid as position
from incoming;
