-- What is new or back in stock, for those who like its category. Nothing is new to who has it;
-- what is back in stock is good news to them above all.
with

alerts as (

    select
        'new_arrival' as alert_kind,
        product_number,
        created_date as since_date
    from {{ ref('int_products') }}
    where
        is_offered
        and created_date <= {{ as_of() }}
        and created_date > {{ add_days(as_of(), -var('new_arrival_days')) }}

    union all

    select
        'back_in_stock' as alert_kind,
        product_number,
        back_in_stock_date as since_date
    from {{ ref('int_products') }}
    where
        is_offered
        and back_in_stock_date > {{ add_days(as_of(), -var('back_in_stock_days')) }}

),

-- Of each category the few that sell best, the newest first among those that have not sold yet.
products as (

    select
        alerts.alert_kind,
        alerts.since_date,
        products.product_number,
        products.product_key,
        products.source,
        products.sku,
        coalesce(products.product_name, products.sku) as product_name,
        products.category

    from alerts

    inner join {{ ref('int_products') }} as products
        on alerts.product_number = products.product_number

    where products.category is not null

    qualify row_number() over (
        partition by alerts.alert_kind, products.category
        order by products.line_count desc, alerts.since_date desc, products.sku asc
    ) <= {{ var('recommendation_candidates') }}

),

final as (

    select
        affinity.customer_id,
        products.alert_kind,
        products.source,
        products.sku,
        products.product_name,
        products.category,
        products.since_date,
        affinity.affinity

    from {{ ref('fct_category_affinity') }} as affinity

    inner join products
        on affinity.category = products.category

    left join {{ ref('int_customer_products') }} as purchases
        on
            affinity.customer_id = purchases.customer_id
            and products.product_key = purchases.product_key

    where
        affinity.is_favourite
        and (products.alert_kind = 'back_in_stock' or purchases.customer_id is null)

    qualify row_number() over (
        partition by affinity.customer_id, products.alert_kind
        order by affinity.affinity desc, products.since_date desc, products.product_number asc
    ) = 1

)

select * from final
