-- What a destination has told us of its contacts: of each, what it said last. Two changes of one second
-- look alike, so that the later pull counts. Only those of whom something new was said are compared.
with

fresh as (
    select
        identity,
        status,
        is_reachable,
        changed_at,
        md5(identity)::uuid as identity_key
    from fresh_statuses
),

told_again as (
    select *
    from statuses
    where identity_key in (select fresh.identity_key from fresh)
)

select identity, status, is_reachable, changed_at, identity_key
from statuses
where identity_key not in (select fresh.identity_key from fresh)

union all

select identity, status, is_reachable, changed_at, identity_key
from (
    select *, 1 as pull from told_again
    union all
    select *, 2 as pull from fresh
)
qualify row_number() over (partition by identity_key order by changed_at desc, pull desc) = 1
