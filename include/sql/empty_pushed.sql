-- The store before the first push.
create view pushed as
select
    null::varchar as kind,
    null::varchar as record_id,
    null::varchar as parent_id,
    null::varchar as fingerprint,
    null::varchar as refusal
where false;
