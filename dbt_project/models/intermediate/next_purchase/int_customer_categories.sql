-- What everybody kept of each category. It depends on the customer's own orders and on the category
-- of what was bought, so only those are computed anew of whom either changed.
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

    where
        products.category is not null
        and {{ are_categories_changed('purchases.customer_id') }}

    group by
        purchases.customer_id,
        products.category

),

-- What was given back whole is no liking.
kept_spend as (

    select * from spend

    where net_spend > 0

),

totals as (

    select
        customer_id,
        sum(net_spend) as net_spend

    from kept_spend

    group by customer_id

),

customers as (

    select
        totals.customer_id,
        totals.net_spend,
        history.order_count

    from totals

    inner join {{ ref('int_customer_history') }} as history
        on totals.customer_id = history.customer_id

),

final as (

    select
        kept_spend.customer_id,
        kept_spend.category,
        kept_spend.product_count,
        cast(kept_spend.line_count as bigint) as line_count,
        kept_spend.last_purchase_date,
        cast(kept_spend.net_spend as decimal(18, 4)) as net_spend,
        cast(kept_spend.net_spend as double) / customers.net_spend as spend_share,
        customers.order_count

    from kept_spend

    inner join customers
        on kept_spend.customer_id = customers.customer_id

)

select * from final
