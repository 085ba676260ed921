-- depends_on: {{ ref('fct_order_lines') }}
with

documents as (

    select
        order_id,
        len(discount_codes) > 0 as has_code

    from {{ ref('stg_shop__orders') }}

),

final as (

    select
        orders.customer_id,
        count(*) as order_count,
        count(case when orders.discount_amount > 0 then 1 end) as discounted_order_count,
        count(case when documents.has_code then 1 end) as code_order_count

    from {{ ref('fct_orders') }} as orders

    left join documents
        on orders.order_id = documents.order_id

    where
        orders.is_counted
        and orders.customer_id is not null
        and {{ is_customer_changed('orders.customer_id') }}

    group by orders.customer_id

)

select * from final
