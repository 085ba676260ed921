delete from raw.erasures;

insert into raw.erasures by name
select
    $generation as generation,
    $erasure_id as erasure_id;
