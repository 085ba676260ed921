-- The next batches to send, in the stead of those before.
truncate due;
insert into due
select batch_number, operation, customer_id, member_key, identity
from plan
where batch_number in (select unnest($batch_numbers::integer[]))
