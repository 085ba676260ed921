-- What a destination has refused, and when it is tried again; what is due first, then the oldest.
select
    $destination as destination,
    $audience as audience,
    customer_id,
    refused_operation as operation,
    code,
    reason,
    class,
    tries as attempts,
    next_attempt_at,
    plan_id
from held
where class is not null
order by next_attempt_at nulls last, customer_id
