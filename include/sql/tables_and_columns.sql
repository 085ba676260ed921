-- Every table of the open database, with its columns in their order.
select
    tables.schema_name,
    tables.table_name,
    list(columns.column_name order by columns.column_index) as columns
from duckdb_tables() as tables
inner join duckdb_columns() as columns
    on tables.table_oid = columns.table_oid and tables.database_oid = columns.database_oid
where tables.database_name = current_database() and not tables.temporary
group by tables.schema_name, tables.table_name
order by tables.schema_name, tables.table_name
