-- The tables and views that a snapshot holds, with all that describes them, so that a new description is
-- a new build.
select
    relations.schema_name,
    relations.table_name,
    coalesce(relations.comment, '') || string_agg(
        columns.column_name || ' ' || columns.data_type || ' ' || coalesce(columns.comment, ''),
        ', ' order by columns.column_index
    ) as definition
from (
    select database_oid, schema_name, table_name, table_oid, comment from duckdb_tables()

    union all

    select database_oid, schema_name, view_name, view_oid, comment from duckdb_views()
) as relations
inner join duckdb_columns() as columns
    on relations.table_oid = columns.table_oid and relations.database_oid = columns.database_oid
where columns.database_name = current_database()
    and relations.schema_name in ('marts', 'marts_private')
group by relations.schema_name, relations.table_name, relations.comment
order by relations.schema_name, relations.table_name
