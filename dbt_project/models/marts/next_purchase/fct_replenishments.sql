-- When somebody will need a product again. Whoever bought it often enough has a rhythm of their
-- own; for the others the product's is taken, if enough people buy it again at all.
with

purchases as (

    select * from {{ ref('int_customer_products') }}

),

products as (

    select * from {{ ref('int_products') }}

),

reorders as (

    select * from {{ ref('int_reorders') }}

),

own_gaps as (

    select
        customer_id,
        product_key,
        count(*) + 1 as purchase_day_count,
        median(gap_days) as gap_days

    from reorders

    group by
        customer_id,
        product_key

),

reordered as (

    select
        product_key,
        count(*) as reorder_count,
        count(distinct customer_id) as reordering_customers,
        median(gap_days) as gap_days

    from reorders

    group by product_key

),

buyers as (

    select
        product_key,
        count(*) as customer_count

    from purchases

    group by product_key

),

product_gaps as (

    select
        reordered.product_key,
        reordered.gap_days

    from reordered

    inner join buyers
        on reordered.product_key = buyers.product_key

    where
        reordered.reorder_count >= {{ var('replenishment_min_reorders') }}
        and reordered.reordering_customers
        >= {{ var('replenishment_min_share') }} * buyers.customer_count

),

timed as (

    select
        purchases.customer_id,
        purchases.product_key,
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
            and purchases.product_key = own_gaps.product_key

    left join product_gaps
        on purchases.product_key = product_gaps.product_key

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
        on timed.product_key = products.product_key

    where
        timed.gap_days is not null
        and {{ add_days('timed.last_purchase_date', '2 * timed.gap_days') }} >= {{ as_of() }}

)

select * from final
