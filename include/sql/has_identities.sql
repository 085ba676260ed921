-- Whether the identity graph was built.
select count(*) > 0 as is_there
from duckdb_tables()
where
    database_name = current_database()
    and schema_name = 'marts'
    and table_name = 'customer_identities'
