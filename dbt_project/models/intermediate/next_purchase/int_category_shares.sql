with

spend as (

    select * from {{ ref('int_customer_categories') }}

),

final as (

    select
        category,
        cast(sum(net_spend) as double) / sum(sum(net_spend)) over () as shop_share

    from spend

    group by category

)

select * from final
