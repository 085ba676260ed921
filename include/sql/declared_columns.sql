-- The raw tables as they were just made, to be compared with those of an earlier release.
select
    table_name,
    column_name,
    data_type,
    is_nullable,
    column_default
from duckdb_columns()
where schema_name = 'raw'
order by
    table_name,
    column_index;
