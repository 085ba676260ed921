-- What a destination has told us of its contacts: of each, what it said last. Two changes of one second
-- look alike, so that the later pull counts.
select identity, status, is_reachable, changed_at
from (
    select *, 1 as pull from statuses
    union all
    select *, 2 as pull from fresh_statuses
)
qualify row_number() over (partition by identity order by changed_at desc, pull desc) = 1
