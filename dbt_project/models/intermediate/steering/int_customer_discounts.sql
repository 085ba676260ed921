with

-- Chosen before they are joined: else all orders are.
orders as (

    select * from {{ ref('fct_orders') }}

    where
        is_counted
        and customer_id is not null
        and {{ is_customer_changed() }}

),

orders_with_codes as (

    select distinct order_id from {{ ref('int_order_codes') }}

),

final as (

    select
        orders.customer_id,
        count(*) as order_count,
        count(case when orders.discount_amount > 0 then 1 end) as discounted_order_count,
        count(orders_with_codes.order_id) as code_order_count

    from orders

    left join orders_with_codes
        on orders.order_id = orders_with_codes.order_id

    group by orders.customer_id

)

select * from final
