-- Whether the open database has a table of that schema and name.
select count(*) > 0 as is_there
from duckdb_tables()
where
    database_name = current_database()
    and schema_name = $schema
    and table_name = $table
