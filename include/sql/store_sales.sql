-- Who is told of to Mailchimp's store, and what they bought. Only people who are contacts there already
-- and may be written to: a purchase must never make a contact. Ids have at most 50 characters there.
create temp table buyers as
select
    contacts.customer_id,
    trim(contacts.email) as email,
    contacts.first_name,
    contacts.last_name,
    case
        when strlen(contacts.customer_id) <= 50 then contacts.customer_id
        else md5(contacts.customer_id)
    end as record_id
from contacts
inner join statuses on md5(lower(trim(contacts.email))) = statuses.identity
where
    contacts.has_email_consent
    and contacts.suppressed_reason is null
    and statuses.is_reachable
qualify row_number() over (
    partition by lower(trim(contacts.email))
    order by contacts.customer_id
) = 1;

create temp view lines as
select
    order_lines.order_id,
    order_lines.line_number,
    coalesce(order_lines.product_name, order_lines.sku) as product_name,
    case
        when regexp_full_match(order_lines.sku, '[A-Za-z0-9_-]{1,50}') then order_lines.sku
        else md5(order_lines.sku)
    end as product_id,
    order_lines.quantity::integer as quantity,
    round(order_lines.gross_amount / order_lines.quantity, 2)::double as price,
    round(order_lines.discount_amount, 2)::double as discount,
    order_lines.ordered_at
from order_lines
where
    order_lines.sku is not null
    and order_lines.quantity >= 1
    and order_lines.line_kind = 'sale';

create temp table bought as
select
    orders.order_id,
    case
        when strlen(orders.order_id) <= 50 then orders.order_id else md5(orders.order_id)
    end as record_id,
    buyers.record_id as customer_record_id,
    buyers.email,
    orders.currency,
    round(orders.gross_amount - orders.discount_amount, 2)::double as total,
    round(orders.discount_amount, 2)::double as discount,
    strftime(orders.ordered_at, '%Y-%m-%dT%H:%M:%S+00:00') as processed_at,
    case
        when orders.is_cancelled then 'cancelled'
        when orders.refunded_amount >= orders.gross_amount - orders.discount_amount
            and orders.refunded_amount > 0 then 'refunded'
        when orders.refunded_amount > 0 then 'partially_refunded'
        else 'paid'
    end as financial_status
from orders
inner join buyers on orders.customer_id = buyers.customer_id
where
    orders.is_counted
    and not orders.is_refund_only
    and orders.order_id in (select lines.order_id from lines);

create temp table rules as
select
    md5(concat_ws(
        '|', offer_name, issued_date, ends_on, percent, amount, currency, minimum_spend
    )) as record_id,
    offer_id,
    code,
    concat(offer_name, ' ', issued_date) as title,
    case
        when percent is not null then round(percent / 100, 4) else round(amount, 2)
    end::double as amount,
    case when percent is not null then 'percentage' else 'fixed' end as kind,
    strftime(issued_date, '%Y-%m-%dT00:00:00+00:00') as starts_at,
    strftime(ends_on + 1, '%Y-%m-%dT00:00:00+00:00') as ends_at,
    $shop_url as redemption_url
from offer_codes
where $shop_url is not null;
