-- Orders, and the codes of promotions. One part of them all.
create or replace temp table records as
with

due as (
    select * from bought
    where hash(record_id) % $parts = $part
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
    where lines.order_id in (select due.order_id from due)
    group by lines.order_id
),

order_documents as (
    select
        due.record_id,
        json_object(
            'id', due.record_id,
            'customer', json_object(
                'id', due.customer_record_id,
                'email_address', due.email,
                'opt_in_status', false
            ),
            'currency_code', due.currency,
            'order_total', due.total,
            'discount_total', due.discount,
            'financial_status', due.financial_status,
            'processed_at_foreign', due.processed_at,
            'lines', to_json(line_lists.line_list)
        ) as document
    from due
    inner join line_lists on due.order_id = line_lists.order_id
),

documents as (
    select
        'promo_code' as kind,
        md5(offer_id) as record_id,
        record_id as parent_id,
        json_object('id', md5(offer_id), 'code', code, 'redemption_url', redemption_url)
            as document
    from rules
    where hash(md5(offer_id)) % $parts = $part
    union all
    select
        'order',
        record_id,
        '',
        document
    from order_documents
)

select
    kind,
    record_id,
    parent_id,
    document::varchar as document,
    md5(document::varchar) as fingerprint
from documents;
