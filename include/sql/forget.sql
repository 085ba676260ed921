-- Before a source's pages are read again under a changed declaration.
delete from raw.{table}
where
    source = $owner
    and file_name in (select file_name from raw.landed_files where source = $source);
