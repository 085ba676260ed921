-- How much more than others somebody buys of a category. A customer's mix of few orders says
-- little: it is drawn towards the shop's by some orders of the shop's mix (var
-- affinity_prior_orders). A view: the shop's mix changes with every order, and with it every row.
with

shares as (

    select
        spend.*,
        categories.shop_share

    from {{ ref('int_customer_categories') }} as spend

    inner join {{ ref('int_category_shares') }} as categories
        on spend.category = categories.category

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
