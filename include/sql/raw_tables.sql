-- What landing writes and dbt reads. Merged by key, newest version wins; deliberately without
-- indexes and primary keys, so that a crash leaves nothing to rewrite.
create schema if not exists raw;

create table if not exists raw.order_lines (
    source varchar,
    order_id varchar,
    line_id varchar,
    customer_id varchar,
    ordered_at timestamp,
    ordered_date date,
    sku varchar,
    product_name varchar,
    category varchar,
    quantity decimal(18, 4),
    unit_price decimal(18, 4),
    gross_amount decimal(18, 4),
    discount_amount decimal(18, 4),
    currency varchar,
    country varchar,
    order_status varchar,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

create table if not exists raw.contacts (
    source varchar,
    customer_id varchar,
    email varchar,
    phone varchar,
    first_name varchar,
    last_name varchar,
    country varchar,
    language varchar,
    has_email_consent boolean,
    has_ads_consent boolean,
    consent_at timestamp,
    consent_source varchar,
    suppressed_reason varchar,
    birthday date,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

create table if not exists raw.products (
    source varchar,
    sku varchar,
    product_name varchar,
    category varchar,
    department varchar,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

create table if not exists raw.source_rules (
    source varchar,
    rule varchar,
    value varchar
);

create table if not exists raw.landed_files (
    source varchar,
    file_name varchar,
    checksum varchar,
    bytes bigint,
    row_count bigint,
    landed_at timestamp,
    landing_path varchar,
    version varchar
);

create table if not exists raw.cursors (
    source varchar,
    cursor varchar,
    committed_at timestamp
);
