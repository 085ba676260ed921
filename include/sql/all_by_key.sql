-- Every record arrived in one version only.
create or replace temp view arrived as
select
    *,
    rowid as position
from incoming;
