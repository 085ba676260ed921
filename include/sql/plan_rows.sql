-- The plan as it is kept: in the order it was made, the same bytes for the same changes.
select operation, customer_id, member_key, identity, fingerprint, batch_number
from planned
where operation in ('remove', 'update', 'add')
