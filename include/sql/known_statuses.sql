-- How much was told, and how much of that is known: two pulls overlap, so that the same is told again.
with told as (
    select distinct
        md5(identity)::uuid as identity_key,
        status,
        is_reachable,
        changed_at
    from fresh_statuses
)

select
    (select count(*) from told) as told_count,
    (
        select count(*)
        from statuses
        semi join told
            on statuses.identity_key = told.identity_key
            and statuses.status = told.status
            and statuses.is_reachable = told.is_reachable
            and statuses.changed_at = told.changed_at
    ) as known_count
