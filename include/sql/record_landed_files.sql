-- `files` is a list of the pages that were merged.
insert into raw.landed_files by name
select
    $source as source,
    $landed_at as landed_at,
    unnest(
        $files::struct(
            file_name varchar,
            checksum varchar,
            bytes bigint,
            row_count bigint,
            landing_path varchar,
            version varchar
        )[],
        recursive := true
    );
