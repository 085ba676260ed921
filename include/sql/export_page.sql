-- One staged page as Parquet, in its order.
copy (
    select {columns}
    from incoming
    where page = $page
    order by rowid
) to $path (format parquet, compression zstd)
