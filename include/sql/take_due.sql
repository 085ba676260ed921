-- The next batches to send, in the stead of those before, with all that has to be said of them. Who is no
-- longer wanted in the newest snapshot, or has another address by now, is not sent: the next plan sees to
-- them.
insert into due
select batch_number, operation, customer_id, member_key, identity
from plan
where batch_number in (select unnest($batch_numbers::integer[]));
create or replace temp table addressed_due as
select
    due.batch_number,
    due.operation,
    due.customer_id,
    due.member_key,
    due.identity,
    addressed.contact,
    wanted.payload,
    statuses.status,
    due.operation = 'remove'
    or (wanted.member_key is not null and addressed.identity is not null) as is_current
from due
left join wanted on due.member_key = wanted.member_key
left join addressed
    on due.customer_id = addressed.customer_id and due.identity = addressed.identity
left join statuses on due.identity = statuses.identity;
truncate due;
