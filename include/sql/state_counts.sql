-- What a destination holds by our account, and what it would not take or let go.
select
    count(*) filter (where status in ('held', 'unknown')) as held_count,
    count(*) filter (where class is not null) as rejected_count,
    count(*) filter (where refused_operation = 'remove') as removals_pending_count
from held
