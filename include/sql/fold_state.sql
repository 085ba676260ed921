-- State after a plan: rows the plan did not touch, and what came of those it did. Folding the same plan
-- twice gives the same state. Variables: plan_id, started_at.
with

-- what is said of an address holds for every customer behind it
exceptions as (
    select
        plan.operation,
        plan.identity,
        any_value(not_accepted.code) as code,
        any_value(not_accepted.class) as class
    from not_accepted
    inner join plan
        on not_accepted.batch_number = plan.batch_number
        and not_accepted.customer_id = plan.customer_id
    group by plan.operation, plan.identity
),

outcomes as (
    select
        plan.*,
        exceptions.code,
        exceptions.class,
        held.status as held_status,
        held.since as held_since,
        held.fingerprint as held_fingerprint,
        case when held.plan_id = getvariable('plan_id') then held.tries else held.tries + 1
        end as next_try
    from plan
    left join exceptions
        on plan.operation = exceptions.operation and plan.identity = exceptions.identity
    left join held
        on plan.member_key = held.member_key and plan.identity = held.identity
)

select held.*
from held
where
    not exists (
        select 1 from plan
        where plan.member_key = held.member_key
            and (plan.identity = held.identity or held.status = 'rejected')
    )

union all

select
    customer_id,
    member_key,
    identity,
    case
        when operation = 'remove' or (operation = 'update' and class = 'superseded')
            then held_fingerprint
        else fingerprint
    end as fingerprint,
    case when held_status = 'held' then held_since else getvariable('started_at')::timestamp
    end as since,
    case
        when operation = 'remove' then held_status
        when operation = 'update' or class is null then 'held'
        when class = 'superseded' then 'unknown'
        else 'rejected'
    end as status,
    case when class <> 'superseded' then code end as code,
    case when class <> 'superseded' then class end as class,
    case
        when class is null or class = 'superseded' then 0
        when held_fingerprint = fingerprint then next_try
        else 1
    end as tries,
    getvariable('plan_id') as plan_id
from outcomes
where operation <> 'remove' or class is not null
