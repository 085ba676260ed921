-- The members for whom the view `wanted` (desired memberships) and the view `held` (state) do not agree.
-- Only two numbers of 64 bits are compared; what else is known of a member is looked up for these alone.
-- Should two members have the same key, they look changed, and nothing else: what follows compares
-- identities. Who is held and not settled agrees with nothing: a null says so in place of a column of its
-- own, which made the join a fifth dearer.
create temp table changed as
select
    coalesce(wanted.member_key, held.member_key) as member_key,
    wanted.member_key is not null as is_wanted,
    held.member_key is not null as is_held
from wanted
full join (
    select
        member_key,
        case when status = 'held' and class is null then fingerprint end as settled_fingerprint
    from held
) as held on wanted.member_key = held.member_key
where
    wanted.member_key is null
    or held.member_key is null
    or wanted.fingerprint is distinct from held.settled_fingerprint
