-- How many rows a table has, and one number for their content in whatever order.
select count(*) as row_count, sum(hash(content))::varchar as content_hash
from query_table($table) as content
