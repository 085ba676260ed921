-- Where each page of the load begins in `incoming`, which keeps the order of the file: a row's
-- number in its file is its position less the first one's.
create or replace temp table pages (
    page integer,
    file_name varchar,
    file_modified_at timestamp,
    first_position bigint
);
