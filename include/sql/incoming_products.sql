-- The pages of one load, before they are merged.
create or replace temp table incoming (
    page integer,
    sku varchar not null,
    product_name varchar,
    category varchar,
    department varchar,
    updated_at timestamp
);
