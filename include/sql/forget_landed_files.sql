delete from raw.landed_files
where source = $source;
