-- A shop as dbt would have built it for 2026-01-31: 80 customers, 200 orders of two lines each.
create schema if not exists marts;
create schema if not exists marts_private;
create schema if not exists audiences;

create table marts.order_lines as
select
    'shop:' || (i // 2)::varchar as order_id,
    1 + i % 2 as line_number,
    'sku' || (i % 7)::varchar as sku,
    1::decimal(18, 4) as quantity,
    (10 + i % 5)::decimal(18, 4) as net_amount,
    'tea' as category
from range(400) as lines(i);

create table marts.orders as
select
    'shop:' || i::varchar as order_id,
    'shop' as source,
    case when i % 10 > 0 then 'shop:' || (i % 80)::varchar end as customer_id,
    timestamp '2026-01-31 12:00:00' - to_days((i % 90)::integer) as ordered_at,
    date '2026-01-31' - (i % 90)::integer as ordered_date,
    (
        select sum(net_amount) from marts.order_lines where order_id = 'shop:' || i::varchar
    ) as net_amount,
    'GBP' as currency,
    i = 199 as is_cancelled
from range(200) as orders(i);

create table marts.customers as
select
    customer_id,
    count(*) as order_count,
    sum(net_amount) as net_spend,
    date '2026-01-31' - max(ordered_date) as recency_days,
    case when customer_id < 'shop:5' then 'Champions' else 'Hibernating' end as rfm_segment,
    count(*) > 2 and customer_id like '%1' as is_vip,
    max(ordered_date) < date '2025-12-01' as is_lapsed,
    true as has_email_consent,
    true as has_ads_consent
from marts.orders
where customer_id is not null
group by customer_id;

comment on table marts.customers is 'One row per customer; the shop''s "own" view.';
comment on column marts.customers.net_spend is 'What is left after discounts and refunds.';

create table marts_private.contacts as
select
    customer_id,
    'canary-' || replace(customer_id, ':', '-') || '@example.com' as email,
    has_email_consent,
    has_ads_consent,
    null::varchar as suppressed_reason
from marts.customers;

create table marts.audience_members as
select audience, customer_id, timestamp '2026-01-31 00:00:00' as entered_at
from marts.customers
cross join (values ('vips'), ('lapsed_buyers')) as audiences(audience)
where not customer_id like '%9';

create table marts.held_out as
select audience, customer_id, date '2026-01-31' as since
from marts.audience_members
where customer_id in ('shop:1', 'shop:2');

create table marts.desired_memberships as
select 'mailchimp' as channel, audience, customer_id
from marts.audience_members
anti join marts.held_out using (audience, customer_id);

create table marts.membership_decisions as
select 'email' as medium, audience, customer_id, 'included' as decision
from marts.desired_memberships;

create table marts.retention_cohorts as
select date '2026-01-01' as cohort_month, 0 as months_since, 72 as customers;

create table marts.monthly_kpis as
select date '2026-01-01' as month, 200 as orders;

create view audiences.vips as from marts.customers;
create view audiences.lapsed_buyers as from marts.customers;

create table marts.customer_identities as
select 'platform_id' as identifier_kind, customer_id as identifier, customer_id
from marts.customers;

create table marts.consents as
select customer_id, channel, 'granted' as state
from marts.customers
cross join (values ('email'), ('ads')) as channels(channel);
