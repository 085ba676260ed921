-- What the view `held` (state) and the view `there` (the destination's own list) say of each other. Who
-- is archived or waits for a confirmation is not listed, and is not missing either.
with

ours as (
    select distinct identity
    from held
    where status = 'held'
)

select
    (select count(*) from ours) as held_count,
    (select count(distinct identity) from there) as there_count,
    (
        select count(*)
        from ours
        left join statuses
            on ours.identity = statuses.identity
        where
            ours.identity not in (select identity from there)
            and coalesce(statuses.is_reachable, true)
    ) as missing_count,
    (
        select count(distinct identity)
        from there
        where identity not in (select identity from held where status in ('held', 'unknown'))
    ) as unexpected_count
