-- The pages of one load. `incoming` keeps the order of a file: a row's number in its file is its
-- position less the first one's.
create or replace temp table pages (
    page integer,
    file_name varchar,
    file_modified_at timestamp
);
