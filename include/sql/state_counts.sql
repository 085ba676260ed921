-- What a destination holds by our account, and what it would not take, by class.
select
    count(*) filter (where status in ('held', 'unknown')) as held_count,
    count(*) filter (where class is not null) as rejected_count
from held
