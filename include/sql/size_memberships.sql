-- How many members are wanted, and how many are held. Who is not held was rejected: asked the other way
-- round, DuckDB knows from the file's statistics where nobody was.
select
    (select count(*) from wanted) as wanted_count,
    (select count(*) from held where status <> 'rejected') as held_count
