-- What was taken, batch by batch.
select batch_number, operation, customer_id, identity, contact, payload, status, is_current
from addressed_due
order by batch_number, customer_id
