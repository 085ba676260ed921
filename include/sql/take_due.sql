-- The next batches to send, in the stead of those before, with all that has to be said of them. Who is no
-- longer wanted in the newest snapshot, or has another address by now, is not sent: the next plan sees to
-- them.
insert into due
select batch_number, operation, customer_id, member_key, identity
from plan
where batch_number in (select unnest($batch_numbers::integer[]));
-- One join after the other: each takes a fixed part of the memory, however few rows it has, and together they
-- need more than sending may have.
create or replace temp table due_wanted as
select
    due.batch_number,
    due.operation,
    due.customer_id,
    due.member_key,
    due.identity,
    wanted.payload,
    wanted.member_key is not null as is_wanted
from due
left join (
    select member_key, payload
    from wanted
    where member_key in (select due.member_key from due where due.customer_id <> '')
) as wanted on due.member_key = wanted.member_key;
create or replace temp table due_told as
select
    due_wanted.*,
    statuses.status
from due_wanted
left join statuses on md5(due_wanted.identity)::uuid = statuses.identity_key;
drop table due_wanted;
create or replace temp table addressed_due as
select
    due_told.batch_number,
    due_told.operation,
    due_told.customer_id,
    due_told.member_key,
    due_told.identity,
    addressed.contact,
    due_told.payload,
    due_told.status,
    due_told.operation = 'remove' or (due_told.is_wanted and addressed.identity is not null) as is_current
from due_told
left join addressed
    on due_told.customer_id = addressed.customer_id and due_told.identity = addressed.identity;
drop table due_told;
truncate due;
