-- The statements that give another database the descriptions of one schema, whose views are tables there:
-- COMMENT takes no parameters, so names and texts are quoted here.
select format(
    'comment on table "{}" is ''{}''',
    replace(name, '"', '""'), replace(comment, '''', '''''')
) as statement
from (
    select database_name, schema_name, table_name as name, comment from duckdb_tables()

    union all

    select database_name, schema_name, view_name, comment from duckdb_views()
) as relations
where database_name = current_database() and schema_name = 'marts' and comment is not null

union all

select format(
    'comment on column "{}"."{}" is ''{}''',
    replace(table_name, '"', '""'), replace(column_name, '"', '""'),
    replace(comment, '''', '''''')
) as statement
from duckdb_columns()
where database_name = current_database() and schema_name = 'marts' and comment is not null
