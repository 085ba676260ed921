-- How long it took until the same product was bought again. It depends on the customer's own lines
-- alone, so only customers whose orders changed are computed anew.
with

repeated as (

    select
        purchases.customer_id,
        purchases.product_key,
        products.source,
        products.sku

    from {{ ref('int_customer_products') }} as purchases

    inner join {{ ref('int_products') }} as products
        on purchases.product_key = products.product_key

    where
        purchases.line_count > 1
        and {{ is_customer_changed('purchases.customer_id') }}

),

repeat_purchases as (

    select
        repeated.customer_id,
        repeated.product_key,
        lines.ordered_date

    from {{ ref('int_order_lines') }} as lines

    inner join repeated
        on
            lines.customer_id = repeated.customer_id
            and lines.source = repeated.source
            and lines.sku = repeated.sku

    where
        lines.line_kind = 'sale'
        and lines.excluded_by is null
        and not lines.is_cancelled

),

gaps as (

    select
        customer_id,
        product_key,
        ordered_date,
        {{ days_between(
            'lag(ordered_date) over (partition by customer_id, product_key order by ordered_date)',
            'ordered_date'
        ) }} as gap_days

    from repeat_purchases

),

-- Two lines of one day are no gap.
final as (

    select
        customer_id,
        product_key,
        ordered_date,
        gap_days

    from gaps

    where gap_days > 0

)

select * from final
