insert into raw.landed_files by name
select
    $source as source,
    $file_name as file_name,
    $checksum as checksum,
    $bytes as bytes,
    $row_count as row_count,
    $landed_at as landed_at,
    $landing_path as landing_path,
    $version as version;
