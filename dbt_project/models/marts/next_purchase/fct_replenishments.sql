-- When somebody will need a product again. Whoever bought it often enough has a rhythm of their
-- own; for the others the product's is taken, if enough people buy it again at all.
with

purchases as (

    select * from {{ ref('int_customer_products') }}

),

products as (

    select * from {{ ref('int_products') }}

),

repeated as (

    select
        purchases.customer_id,
        purchases.product_number,
        products.source,
        products.sku

    from purchases

    inner join products
        on purchases.product_number = products.product_number

    where purchases.line_count > 1

),

repeat_purchases as (

    select
        repeated.customer_id,
        repeated.product_number,
        lines.ordered_date

    from {{ ref('fct_order_lines') }} as lines

    inner join repeated
        on
            lines.customer_id = repeated.customer_id
            and lines.source = repeated.source
            and lines.sku = repeated.sku

    where lines.line_kind = 'sale'

),

-- Two lines of one day are no gap.
gaps as (

    select
        customer_id,
        product_number,
        {{ days_between(
            'lag(ordered_date) over (partition by customer_id, product_number order by ordered_date)',
            'ordered_date'
        ) }} as gap_days

    from repeat_purchases

),

own_gaps as (

    select
        customer_id,
        product_number,
        count(*) + 1 as purchase_day_count,
        median(gap_days) as gap_days

    from gaps

    where gap_days > 0

    group by
        customer_id,
        product_number

),

reorders as (

    select
        product_number,
        count(*) as reorder_count,
        count(distinct customer_id) as reordering_customers,
        median(gap_days) as gap_days

    from gaps

    where gap_days > 0

    group by product_number

),

buyers as (

    select
        product_number,
        count(*) as customer_count

    from purchases

    group by product_number

),

product_gaps as (

    select
        reorders.product_number,
        reorders.gap_days

    from reorders

    inner join buyers
        on reorders.product_number = buyers.product_number

    where
        reorders.reorder_count >= {{ var('replenishment_min_reorders') }}
        and reorders.reordering_customers
        >= {{ var('replenishment_min_share') }} * buyers.customer_count

),

timed as (

    select
        purchases.customer_id,
        purchases.product_number,
        purchases.last_purchase_date,
        purchases.net_spend,
        coalesce(own_gaps.purchase_day_count, 1) as purchase_day_count,
        case
            when own_gaps.purchase_day_count >= {{ var('replenishment_own_purchases') }} then 'own'
            else 'product'
        end as gap_of,
        cast(ceil(case
            when own_gaps.purchase_day_count >= {{ var('replenishment_own_purchases') }}
                then own_gaps.gap_days
            else product_gaps.gap_days
        end) as integer) as gap_days

    from purchases

    left join own_gaps
        on
            purchases.customer_id = own_gaps.customer_id
            and purchases.product_number = own_gaps.product_number

    left join product_gaps
        on purchases.product_number = product_gaps.product_number

),

-- Whoever let a whole further gap go by has stopped buying it, or buys it elsewhere.
final as (

    select
        timed.customer_id,
        products.source,
        products.sku,
        coalesce(products.product_name, products.sku) as product_name,
        products.category,
        timed.purchase_day_count,
        timed.last_purchase_date,
        timed.gap_days,
        timed.gap_of,
        {{ add_days('timed.last_purchase_date', 'timed.gap_days') }} as due_date,
        products.is_offered,
        {{ add_days('timed.last_purchase_date', 'timed.gap_days') }}
        <= {{ add_days(as_of(), var('replenishment_lead_days')) }} as is_due,
        timed.net_spend

    from timed

    inner join products
        on timed.product_number = products.product_number

    where
        timed.gap_days is not null
        and {{ add_days('timed.last_purchase_date', '2 * timed.gap_days') }} >= {{ as_of() }}

)

select * from final
