-- The pages of a source that are merged already.
select
    file_name,
    checksum,
    version,
    landing_path
from raw.landed_files
where source = $source;
