-- The pages of one load, before they are merged; what a line cannot be without is refused here.
-- `part` is the value of the column that `rules.overlapping_parts` names.
create or replace temp table incoming (
    page integer,
    part varchar,
    order_id varchar not null,
    line_id varchar,
    customer_id varchar,
    ordered_at timestamp not null check (isfinite(ordered_at)),
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
    updated_at timestamp
);
