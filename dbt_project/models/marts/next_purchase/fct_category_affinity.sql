-- How much more than others somebody buys of a category. A customer's mix of few orders says
-- little: it is drawn towards the shop's by some orders of the shop's mix (var
-- affinity_prior_orders).
with

spend as (

    select
        purchases.customer_id,
        products.category,
        count(*) as product_count,
        sum(purchases.line_count) as line_count,
        max(purchases.last_purchase_date) as last_purchase_date,
        sum(purchases.net_spend) as net_spend

    from {{ ref('int_customer_products') }} as purchases

    inner join {{ ref('int_products') }} as products
        on purchases.product_key = products.product_key

    where products.category is not null

    group by
        purchases.customer_id,
        products.category

),

-- What was given back whole is no liking.
kept_spend as (

    select * from spend

    where net_spend > 0

),

customers as (

    select
        kept_spend.customer_id,
        max(history.order_count) as order_count,
        sum(kept_spend.net_spend) as net_spend

    from kept_spend

    inner join {{ ref('int_customer_history') }} as history
        on kept_spend.customer_id = history.customer_id

    group by kept_spend.customer_id

),

categories as (

    select
        category,
        cast(sum(net_spend) as double) / sum(sum(net_spend)) over () as shop_share

    from kept_spend

    group by category

),

shares as (

    select
        kept_spend.customer_id,
        kept_spend.category,
        kept_spend.product_count,
        cast(kept_spend.line_count as bigint) as line_count,
        kept_spend.last_purchase_date,
        cast(kept_spend.net_spend as decimal(18, 4)) as net_spend,
        customers.order_count,
        cast(kept_spend.net_spend as double) / customers.net_spend as spend_share,
        categories.shop_share

    from kept_spend

    inner join customers
        on kept_spend.customer_id = customers.customer_id

    inner join categories
        on kept_spend.category = categories.category

),

with_affinity as (

    select
        *,
        (
            order_count * spend_share / shop_share + {{ var('affinity_prior_orders') }}
        ) / (order_count + {{ var('affinity_prior_orders') }}) as affinity

    from shares

),

final as (

    select
        customer_id,
        category,
        product_count,
        line_count,
        last_purchase_date,
        net_spend,
        spend_share,
        shop_share,
        affinity,
        affinity >= {{ var('affinity_favourite_from') }} as is_favourite

    from with_affinity

)

select * from final
