-- Whether landing has ever written here.
select count(*) > 0 as is_there
from duckdb_tables()
where
    database_name = current_database()
    and schema_name = 'raw'
    and table_name = 'landed_files'
