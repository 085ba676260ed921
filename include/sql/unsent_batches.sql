-- What is left to send of a plan, batch by batch. Who is no longer wanted in the newest snapshot, or
-- has another address by now, is not sent: the next plan sees to them.
select
    plan.batch_number,
    plan.operation,
    plan.customer_id,
    plan.identity,
    addressed.contact,
    wanted.payload,
    statuses.status,
    plan.operation = 'remove'
    or (wanted.member_key is not null and addressed.identity is not null) as is_current
from plan
left join wanted on plan.member_key = wanted.member_key
left join addressed
    on plan.customer_id = addressed.customer_id and plan.identity = addressed.identity
left join statuses on plan.identity = statuses.identity
where
    plan.batch_number is not null
    and plan.batch_number not in (select unnest($acknowledged::integer[]))
order by plan.batch_number, plan.member_key
