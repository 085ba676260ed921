-- The pages of a source that are merged already.
select
    file_name,
    checksum,
    version
from raw.landed_files
where source = $source;
