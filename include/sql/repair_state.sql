-- The state as the destination lists it (`there`). Rows that agree stay; who is not there any more is
-- left out, so that the next plan adds whoever is wanted; who is there without our knowing is held with
-- a fingerprint that nobody has, so that the next plan updates or removes them. Since when they are in is
-- not known, and so they are nobody's newcomers.
with

known as (
    select identity
    from held
    where status in ('held', 'unknown')
),

unknown as (
    select distinct identity
    from there
    where identity not in (select identity from known)
),

named as (
    select
        unknown.identity,
        coalesce(addressed.customer_id, 'unknown:' || unknown.identity) as customer_id
    from unknown
    left join addressed
        on unknown.identity = addressed.identity
),

-- one of the customers behind an address is wanted, or none is
wanted_first as (
    select
        named.identity,
        named.customer_id,
        coalesce(wanted.member_key, md5_number_lower(named.customer_id)) as member_key,
        wanted.member_key is not null as is_wanted
    from named
    left join wanted
        on named.customer_id = wanted.customer_id
    qualify is_wanted or row_number() over (
        partition by named.identity order by is_wanted desc, named.customer_id
    ) = 1
)

select held.*
from held
left join statuses
    on held.identity_key = statuses.identity_key
where
    held.status = 'rejected' and held.identity not in (select identity from unknown)
    or held.status in ('held', 'unknown') and (
        held.identity in (select identity from there)
        or not coalesce(statuses.is_reachable, true)
    )

union all by name

select
    customer_id,
    member_key,
    identity,
    0::ubigint as fingerprint,
    null as since,
    'held' as status,
    null as code,
    null as class,
    0 as tries,
    'read from the destination' as plan_id,
    md5(identity)::uuid as identity_key
from wanted_first
