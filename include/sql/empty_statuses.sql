-- What a destination has told us of its contacts before it was ever asked.
create or replace view statuses as
select
    null::varchar as identity,
    null::varchar as status,
    null::boolean as is_reachable,
    null::timestamp as changed_at,
    null::uuid as identity_key
where false
