-- What landing writes and dbt reads. Merged by key, newest version wins; deliberately without
-- indexes and primary keys, so that a crash leaves nothing to rewrite. A column that is not null is
-- one without which a record is refused; a column added here is added to an existing warehouse too.
-- Landing fills source, file_name, file_modified_at and row_number, and of e-mail and phone what is
-- comparable: email_key (trimmed, lower case) and phone_key (E.164), null when it is neither.
create schema if not exists raw;

-- Every row of an order is numbered as it is written, and a newer version anew, so that a build knows
-- what came since the last one.
create sequence if not exists raw.load_numbers;

-- Orders that come as flat lines.
create table if not exists raw.order_lines (
    source varchar not null,
    order_id varchar not null,
    line_id varchar,
    customer_id varchar,
    email varchar,
    email_key varchar,
    phone varchar,
    phone_key varchar,
    address_key uuid,
    ordered_at timestamp not null,
    ordered_date date,
    sku varchar,
    product_name varchar,
    category varchar,
    quantity decimal(18, 4) not null,
    unit_price decimal(18, 4),
    gross_amount decimal(18, 4) not null,
    discount_amount decimal(18, 4),
    currency varchar,
    country varchar,
    order_status varchar,
    delivered_at timestamp,
    discount_code varchar,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint,
    load_number bigint default nextval('raw.load_numbers')
);

-- Orders that come as documents, each with its lines, refunds and payments inside; the newest
-- version replaces the whole order. `include/sources/documents.py` says the same to the sources.
create table if not exists raw.orders (
    source varchar not null,
    order_id varchar not null,
    customer_id varchar,
    email varchar,
    email_key varchar,
    phone varchar,
    phone_key varchar,
    first_name varchar,
    last_name varchar,
    country varchar,
    address_key uuid,
    ordered_at timestamp,
    ordered_date date,
    currency varchar,
    payment_status varchar,
    is_test boolean,
    cancelled_at timestamp,
    delivered_at timestamp,
    deleted_at timestamp,
    shipping_amount decimal(18, 4),
    tax_amount decimal(18, 4),
    discount_amount decimal(18, 4),
    total_amount decimal(18, 4),
    is_tax_included boolean,
    discount_codes varchar[],
    acquisition_source varchar,
    lines struct(
        line_id varchar,
        sku varchar,
        product_id varchar,
        product_name varchar,
        category varchar,
        quantity decimal(18, 4),
        unit_price decimal(18, 4),
        gross_amount decimal(18, 4),
        discount_amount decimal(18, 4),
        tax_amount decimal(18, 4)
    )[],
    refunds struct(
        refund_id varchar,
        line_id varchar,
        kind varchar,
        quantity decimal(18, 4),
        amount decimal(18, 4),
        tax_amount decimal(18, 4),
        refunded_at timestamp
    )[],
    payments struct(
        payment_id varchar,
        parent_payment_id varchar,
        kind varchar,
        status varchar,
        amount decimal(18, 4),
        currency varchar,
        paid_at timestamp
    )[],
    updated_at timestamp not null,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint,
    load_number bigint default nextval('raw.load_numbers')
);

-- Orders of which something was deleted, not only replaced.
create table if not exists raw.removed_orders (
    order_id varchar not null,
    load_number bigint default nextval('raw.load_numbers')
);

create table if not exists raw.contacts (
    source varchar not null,
    customer_id varchar not null,
    email varchar,
    email_key varchar,
    phone varchar,
    phone_key varchar,
    first_name varchar,
    last_name varchar,
    country varchar,
    language varchar,
    has_email_consent boolean,
    email_consent_at timestamp,
    email_consent_source varchar,
    has_ads_consent boolean,
    ads_consent_at timestamp,
    ads_consent_source varchar,
    has_sms_consent boolean,
    sms_consent_at timestamp,
    sms_consent_source varchar,
    consent_at timestamp,
    consent_source varchar,
    consent_jurisdiction varchar,
    suppressed_reason varchar,
    birthday date,
    deleted_at timestamp,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

create table if not exists raw.products (
    source varchar not null,
    sku varchar not null,
    product_id varchar,
    product_name varchar,
    category varchar,
    department varchar,
    unit_cost decimal(18, 4),
    currency varchar,
    is_active boolean,
    stock_quantity bigint,
    created_at timestamp,
    deleted_at timestamp,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

-- Changes of consent told elsewhere than in a contact: webhooks, preference centres.
create table if not exists raw.consents (
    source varchar not null,
    consent_id varchar not null,
    customer_id varchar,
    email varchar,
    email_key varchar,
    phone varchar,
    phone_key varchar,
    channel varchar not null,
    state varchar not null,
    changed_at timestamp not null,
    consent_source varchar,
    jurisdiction varchar,
    suppressed_reason varchar,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

-- Scores only: what a person writes in a survey stays there.
create table if not exists raw.survey_answers (
    source varchar not null,
    answer_id varchar not null,
    customer_id varchar,
    email varchar,
    email_key varchar,
    phone varchar,
    phone_key varchar,
    survey varchar,
    kind varchar not null,
    score decimal(18, 4) not null,
    order_id varchar,
    sku varchar,
    answered_at timestamp not null,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

-- Points of the shop's own programme that a customer has spent.
create table if not exists raw.points_redemptions (
    source varchar not null,
    redemption_id varchar not null,
    customer_id varchar not null,
    points bigint not null,
    redeemed_at timestamp not null,
    order_id varchar,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

create table if not exists raw.ad_spend (
    source varchar not null,
    spend_date date not null,
    platform varchar not null,
    campaign_id varchar not null,
    campaign_name varchar,
    currency varchar not null,
    amount decimal(18, 4) not null,
    impressions bigint,
    clicks bigint,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

create table if not exists raw.erasure_requests (
    source varchar not null,
    request_id varchar not null,
    customer_id varchar,
    email varchar,
    email_key varchar,
    phone varchar,
    phone_key varchar,
    requested_at timestamp not null,
    updated_at timestamp,
    file_name varchar,
    file_modified_at timestamp,
    row_number bigint
);

-- One unit of `currency` is `rate` units of `base_currency`.
create table if not exists raw.exchange_rates (
    source varchar not null,
    currency varchar not null,
    base_currency varchar not null,
    rate_date date not null,
    rate decimal(18, 8) not null,
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

-- Which tombstones these tables agree with: an old backup does not.
create table if not exists raw.erasures (
    generation varchar,
    erasure_id varchar
);
