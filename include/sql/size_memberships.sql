-- How many members are wanted, and how many are held.
select
    (select count(*) from wanted) as wanted_count,
    (select count(*) from held where status in ('held', 'unknown')) as held_count
