-- Some of what was taken, batch by batch.
select batch_number, operation, customer_id, identity, contact, payload, status, is_current
from addressed_due
where batch_number between $first_batch and $last_batch
order by batch_number, customer_id
