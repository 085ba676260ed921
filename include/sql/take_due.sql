-- The next batches to send, in the stead of those before, with all that has to be said of them. Who is no
-- longer wanted in the newest snapshot, or has another address by now, is not sent: the next plan sees to
-- them. `$is_newest`: the plan was made from that snapshot, so nobody can have moved, and no address has to
-- be hashed again. A plan and the published tables are in the order of `customer_id`, so that of each no
-- more is read than lies between the first and the last of a slice.
create or replace temp table due as
select batch_number, operation, customer_id, identity
from plan
where batch_number in (select unnest($batch_numbers::integer[]));
-- One join after the other: each takes a fixed part of the memory, however few rows it has, and together they
-- need more than sending may have.
create or replace temp table due_wanted as
select
    due.batch_number,
    due.operation,
    due.customer_id,
    due.identity,
    wanted.payload,
    wanted.customer_id is not null as is_wanted
from due
left join (
    select customer_id, payload
    from wanted
    where customer_id in (select due.customer_id from due where due.customer_id <> '')
) as wanted on due.customer_id = wanted.customer_id;
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
    due_told.identity,
    case when $is_newest or addressed.identity = due_told.identity then addressed.contact end
        as contact,
    due_told.payload,
    due_told.status,
    due_told.operation = 'remove'
    or coalesce(
        due_told.is_wanted
        and addressed.customer_id is not null
        and ($is_newest or addressed.identity = due_told.identity),
        false
    ) as is_current
from due_told
left join addressed on due_told.customer_id = addressed.customer_id;
drop table due_told;
