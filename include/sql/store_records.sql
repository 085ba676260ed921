-- What Mailchimp's store should hold, each record with the document that it is sent as. Only of people
-- who are contacts there already and may be written to: a purchase must never make a contact. Ids have
-- at most 50 characters there.
create temp table records as
with

buyers as (
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
    ) = 1
),

lines as (
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
        and order_lines.line_kind = 'sale'
),

bought as (
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
        and orders.order_id in (select lines.order_id from lines)
),

products as (
    select
        product_id,
        arg_max(product_name, ordered_at) as title,
        arg_max(price, ordered_at) as price
    from lines
    where order_id in (select bought.order_id from bought)
    group by product_id
),

line_lists as (
    select
        lines.order_id,
        list(json_object(
            'id', lines.line_number::varchar,
            'product_id', lines.product_id,
            'product_variant_id', lines.product_id,
            'quantity', lines.quantity,
            'price', lines.price,
            'discount', lines.discount
        ) order by lines.line_number) as line_list
    from lines
    group by lines.order_id
),

order_documents as (
    select
        bought.record_id,
        json_object(
            'id', bought.record_id,
            'customer', json_object(
                'id', bought.customer_record_id,
                'email_address', bought.email,
                'opt_in_status', false
            ),
            'currency_code', bought.currency,
            'order_total', bought.total,
            'discount_total', bought.discount,
            'financial_status', bought.financial_status,
            'processed_at_foreign', bought.processed_at,
            'lines', to_json(line_lists.line_list)
        ) as document
    from bought
    inner join line_lists on bought.order_id = line_lists.order_id
),

rules as (
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
        strftime(ends_on + 1, '%Y-%m-%dT00:00:00+00:00') as ends_at
    from offer_codes
    where $shop_url is not null
),

documents as (
    select
        1 as stage,
        'product' as kind,
        product_id as record_id,
        '' as parent_id,
        json_object(
            'id', product_id,
            'title', title,
            'variants', json_array(json_object('id', product_id, 'title', title, 'price', price))
        ) as document
    from products
    union all
    select
        1,
        'customer',
        record_id,
        '',
        json_object(
            'id', record_id,
            'email_address', email,
            'opt_in_status', false,
            'first_name', coalesce(first_name, ''),
            'last_name', coalesce(last_name, '')
        )
    from buyers
    union all
    select distinct
        1,
        'promo_rule',
        record_id,
        '',
        json_object(
            'id', record_id,
            'title', title,
            'description', title,
            'amount', amount,
            'type', kind,
            'target', 'total',
            'starts_at', starts_at,
            'ends_at', ends_at,
            'enabled', true
        )
    from rules
    union all
    select
        2,
        'promo_code',
        md5(offer_id),
        record_id,
        json_object('id', md5(offer_id), 'code', code, 'redemption_url', $shop_url)
    from rules
    union all
    select
        2,
        'order',
        record_id,
        '',
        document
    from order_documents
)

select
    stage,
    kind,
    record_id,
    parent_id,
    document::varchar as document,
    md5(document::varchar) as fingerprint
from documents;
