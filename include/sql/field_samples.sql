-- Values of the fields an audience carries, to see what kind they are; not everybody has each.
select payload from wanted where payload is not null limit $sample_size
