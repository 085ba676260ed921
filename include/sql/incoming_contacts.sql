-- The pages of one load, before they are merged.
create or replace temp table incoming (
    page integer,
    customer_id varchar not null,
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
    updated_at timestamp
);
