-- The next batches to send, in the stead of those before, and what has to be known of their members.
-- Each of the large tables is passed by what is due, which alone is kept in memory.
truncate due;
insert into due
select batch_number, operation, customer_id, member_key, identity
from plan
where batch_number in (select unnest($batch_numbers::integer[]));

create or replace temp table due_wanted as
select member_key, payload
from wanted
where wanted.member_key in (select due.member_key from due);

create or replace temp table due_addressed as
select customer_id, identity, contact
from addressed;

create or replace temp table due_statuses as
select identity, status
from statuses
where statuses.identity in (select due.identity from due);
