-- State after a plan: rows the plan did not touch, and what came of those it did. Folding the same plan
-- twice gives the same state. Variables: plan_id, started_at, entered_at (null if nobody is known to have
-- come in with this plan), most_tries.
-- Whom the plan touched is told by equalities alone: for one `exists` with an `or` in it, DuckDB first
-- groups the whole state by all that is compared, for half of the time and of the memory.
with

-- another address has taken the place of the one that was refused
replaced as (
    select
        member_key,
        'rejected' as status
    from plan
    where operation <> 'remove'
),

-- who only goes to another address was in before
moved as (
    select distinct held.member_key
    from held
    inner join plan
        on held.member_key = plan.member_key and held.identity = plan.identity
    where held.status = 'held' and plan.operation = 'remove'
),

-- what is said of an address holds for every customer behind it
exceptions as (
    select
        plan.operation,
        plan.identity,
        any_value(not_accepted.code) as code,
        any_value(not_accepted.reason) as reason,
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
        exceptions.reason,
        exceptions.class,
        held.status as held_status,
        held.since as held_since,
        held.fingerprint as held_fingerprint,
        -- an address that is updated without our having held it was in for another customer
        plan.operation = 'add' and moved.member_key is null as comes_in,
        case
            when exceptions.class is null or exceptions.class = 'superseded' then 0
            when held.fingerprint is distinct from plan.fingerprint then 1
            when held.plan_id = getvariable('plan_id') then held.tries
            else held.tries + 1
        end as tries
    from plan
    left join exceptions
        on plan.operation = exceptions.operation and plan.identity = exceptions.identity
    left join held
        on plan.member_key = held.member_key and plan.identity = held.identity
    left join moved on plan.member_key = moved.member_key
)

select held.*
from held
anti join plan
    on held.member_key = plan.member_key and held.identity = plan.identity
anti join replaced
    on held.member_key = replaced.member_key and held.status = replaced.status

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
    case
        when held_status = 'held' then held_since
        when comes_in then getvariable('entered_at')::timestamp
    end as since,
    case
        when operation = 'remove' then held_status
        when operation = 'update' or class is null then 'held'
        when class = 'superseded' then 'unknown'
        else 'rejected'
    end as status,
    case when class <> 'superseded' then code end as code,
    case when class <> 'superseded' then class end as class,
    tries,
    getvariable('plan_id') as plan_id,
    case when class <> 'superseded' then operation end as refused_operation,
    case when class <> 'superseded' then reason end as reason,
    -- null where nothing is tried before something changes; a removal is tried by every run
    case
        when class = 'retry' and (tries < getvariable('most_tries') or operation = 'remove')
            then getvariable('started_at')::timestamp
    end as next_attempt_at,
    md5(identity)::uuid as identity_key
from outcomes
where operation <> 'remove' or class is not null
