-- The tables that a snapshot holds, with all that describes them, so that a new description is a new build.
select
    tables.schema_name,
    tables.table_name,
    coalesce(tables.comment, '') || string_agg(
        columns.column_name || ' ' || columns.data_type || ' ' || coalesce(columns.comment, ''),
        ', ' order by columns.column_index
    ) as definition
from duckdb_tables() as tables
inner join duckdb_columns() as columns
    on tables.table_oid = columns.table_oid and tables.database_oid = columns.database_oid
where tables.database_name = current_database() and tables.schema_name in ('marts', 'marts_private')
group by tables.schema_name, tables.table_name, tables.comment
order by tables.schema_name, tables.table_name
