-- The plan as it is kept: in the order it is sent, the same bytes for the same changes.
select operation, customer_id, member_key, identity, fingerprint, batch_number
from planned
where operation in ('remove', 'update', 'add')
order by batch_number nulls last, operation, member_key, identity
