-- What a destination holds before anything was ever sent; the columns of every state.parquet.
create or replace view held as
select
    null::varchar as customer_id,
    null::ubigint as member_key,
    null::varchar as identity,
    null::ubigint as fingerprint,
    -- when the member came in; null if that was before, in another way, or is not known
    null::timestamp as since,
    null::varchar as status,
    null::varchar as code,
    null::varchar as class,
    null::integer as tries,
    null::varchar as plan_id,
    null::varchar as refused_operation,
    null::varchar as reason,
    null::timestamp as next_attempt_at,
    -- 128 bits of the identity: what all others are joined by
    null::uuid as identity_key
where false
