-- Which snapshot an analyst is looking at.
create table snapshot as
select
    $snapshot_id::varchar as snapshot_id,
    $as_of::date as as_of,
    $published_at::timestamp as published_at
