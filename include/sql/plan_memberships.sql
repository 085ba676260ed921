-- What has to be done so that the destination holds what is wanted. `operation` is one of add, update,
-- remove; rows of the operations `suppressed` and `unaddressable` are only counted. A row without a
-- batch number changes nothing but our own state.
-- One step after the other: a first sync changes everybody, and what all steps need at once would not fit
-- into the memory that each of them alone can do with.
create temp table addressed_changed as
select
    customer_id,
    identity,
    md5(identity)::uuid as identity_key
from addressed;

create temp table wanted_there as
select
    wanted_changed.customer_id,
    wanted_changed.member_key,
    wanted_changed.fingerprint,
    addressed_changed.identity,
    addressed_changed.identity_key
from wanted_changed
left join addressed_changed on wanted_changed.customer_id = addressed_changed.customer_id;
drop table addressed_changed;

create temp table told as
select
    identity_key,
    is_reachable
from statuses
where
    identity_key in (
        -- where everybody has an address, `is not null` is no condition any more
        select wanted_there.identity_key from wanted_there
        where wanted_there.identity <> ''
    );

create temp table held_now as
select
    customer_id,
    member_key,
    identity,
    identity_key,
    fingerprint,
    status,
    class,
    tries,
    -- after a lost answer we may hold more than we know: a removal must cover it
    status in ('held', 'unknown') as may_be_there
from held
where member_key in (select changed.member_key from changed where changed.is_held);

create temp table leaving as
select
    held_now.customer_id,
    held_now.member_key,
    held_now.identity,
    held_now.identity_key,
    held_now.fingerprint,
    held_now.may_be_there as is_sent
from held_now
left join wanted_there on held_now.member_key = wanted_there.member_key
where
    wanted_there.identity_key is null
    or (held_now.may_be_there and held_now.identity_key <> wanted_there.identity_key);

-- Who else is at the addresses that somebody comes to or leaves: customers may share one, or hand it on.
create temp table neighbours as
select
    member_key,
    identity_key,
    status
from held
where
    status in ('held', 'unknown')
    and identity_key in (
        select wanted_there.identity_key
        from wanted_there
        anti join held_now
            on wanted_there.member_key = held_now.member_key
            and wanted_there.identity_key = held_now.identity_key
            and held_now.status = 'held'
        where wanted_there.identity <> ''
        union all
        select leaving.identity_key from leaving
        where leaving.is_sent
    );

create temp table arriving as
with

-- An address that is there for another customer needs no more than the fields of whom it belongs to now;
-- and if those are refused, it is there all the same.
there as (
    select distinct identity_key
    from neighbours
    where status = 'held'
),

wanted_now as (
    select
        wanted_there.*,
        told.is_reachable,
        there.identity_key is not null as is_there
    from wanted_there
    left join told on wanted_there.identity_key = told.identity_key
    left join there on wanted_there.identity_key = there.identity_key
),

compared as (
    select
        wanted_now.*,
        case
            when wanted_now.identity is null then 'unaddressable'
            when held_now.status = 'held' or wanted_now.is_there then 'update'
            else 'add'
        end as operation,
        held_now.member_key is null
        or held_now.status = 'unknown'
        or held_now.fingerprint is distinct from wanted_now.fingerprint
        or (held_now.class = 'retry' and held_now.tries < $most_tries)
        or (held_now.class = 'suppressed' and coalesce(wanted_now.is_reachable, false)) as is_due
    from wanted_now
    left join held_now
        on wanted_now.member_key = held_now.member_key
        and wanted_now.identity_key = held_now.identity_key
)

select
    case
        when operation <> 'unaddressable' and not coalesce(is_reachable, true) then 'suppressed'
        else operation
    end as operation,
    customer_id,
    member_key,
    identity,
    identity_key,
    fingerprint,
    operation <> 'update' or $carries_fields as is_sent
from compared
where is_due;
drop table told;
drop table held_now;
drop table wanted_there;

-- A shared address is sent once, and stays as long as one of its customers is wanted.
create temp table staying as
select neighbours.identity_key
from neighbours
where
    neighbours.identity_key in (select leaving.identity_key from leaving where leaving.is_sent)
    and not exists (
        select 1
        from leaving
        where
            leaving.member_key = neighbours.member_key
            and leaving.identity_key = neighbours.identity_key
    )
union all
select arriving.identity_key
from arriving
where
    arriving.operation in ('add', 'update')
    and arriving.identity_key in (select leaving.identity_key from leaving where leaving.is_sent);
drop table neighbours;

create temp table twins as
select operation, identity_key, min(member_key) as first_member_key
from (
    select operation, identity_key, member_key
    from arriving
    union all
    select 'remove' as operation, identity_key, member_key
    from leaving
    where is_sent
)
group by operation, identity_key
having count(*) > 1;

create temp table operations as
select
    'remove' as operation,
    leaving.* replace (
        leaving.is_sent
        and leaving.identity_key not in (select staying.identity_key from staying)
        and leaving.member_key = coalesce(twins.first_member_key, leaving.member_key)
            as is_sent
    )
from leaving
left join twins
    on twins.operation = 'remove'
    and leaving.identity_key = twins.identity_key
union all
select
    arriving.* replace (
        arriving.is_sent
        and arriving.member_key = coalesce(twins.first_member_key, arriving.member_key)
            as is_sent
    )
from arriving
left join twins
    on arriving.operation = twins.operation
    and arriving.identity_key = twins.identity_key;
drop table arriving;
drop table leaving;

-- One sort gives both the numbering and the order of the file, which is that of the published tables.
create temp table planned as
with

sent_before as (
    select
        operation,
        coalesce(sum(count(*)) over earlier, 0) as row_count,
        coalesce(sum(ceil(count(*) / $batch_size)) over earlier, 0)::integer as batch_count
    from operations
    where is_sent and operation in ('remove', 'update', 'add')
    group by operation
    window earlier as (
        order by array_position(['remove', 'update', 'add'], operation)
        rows between unbounded preceding and 1 preceding
    )
),

ordered as (
    select
        operations.*,
        sent_before.row_count,
        sent_before.batch_count
    from operations
    left join sent_before on operations.operation = sent_before.operation
    order by
        not operations.is_sent,
        array_position(['remove', 'update', 'add'], operations.operation) nulls last,
        operations.operation,
        operations.customer_id,
        operations.identity_key
)

select
    operation,
    customer_id,
    member_key,
    identity,
    fingerprint,
    case
        when is_sent
            then batch_count + (row_number() over () - 1 - row_count)::bigint // $batch_size + 1
    end::integer as batch_number
from ordered;
drop table operations
