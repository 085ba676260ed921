-- Products, buyers and the rules of promotions: what orders and codes name. One part of them all.
create or replace temp table records as
with

products as (
    select
        product_id,
        arg_max(product_name, ordered_at) as title,
        arg_max(price, ordered_at) as price
    from lines
    where order_id in (select bought.order_id from bought)
    group by product_id
),

documents as (
    select
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
)

select
    kind,
    record_id,
    parent_id,
    document::varchar as document,
    md5(document::varchar) as fingerprint
from documents
where hash(record_id) % $parts = $part;
