-- One table as Parquet. A table's key comes first, so the order makes row groups useful and the file
-- the same each time.
copy (from query_table($table) order by all)
to $path (format parquet, compression zstd)
