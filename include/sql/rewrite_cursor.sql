delete from raw.cursors
where source = $source;

insert into raw.cursors by name
select
    $source as source,
    $cursor as cursor,
    $committed_at as committed_at;
