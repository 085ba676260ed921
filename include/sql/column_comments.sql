-- The statements that give another database the descriptions of one schema: COMMENT takes no parameters,
-- so names and texts are quoted here.
select format(
    'comment on table "{}" is ''{}''',
    replace(table_name, '"', '""'), replace(comment, '''', '''''')
) as statement
from duckdb_tables()
where database_name = current_database() and schema_name = 'marts' and comment is not null

union all

select format(
    'comment on column "{}"."{}" is ''{}''',
    replace(columns.table_name, '"', '""'), replace(columns.column_name, '"', '""'),
    replace(columns.comment, '''', '''''')
) as statement
from duckdb_columns() as columns
inner join duckdb_tables() as tables
    on columns.table_oid = tables.table_oid and columns.database_oid = tables.database_oid
where columns.database_name = current_database() and columns.schema_name = 'marts'
    and columns.comment is not null
