-- The part of a plan that is being sent; `take_due` fills it.
create temp table due as
select batch_number, operation, customer_id, identity
from plan
limit 0
