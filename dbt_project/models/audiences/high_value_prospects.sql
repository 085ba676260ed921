with

customers as (

    select
        customer_value.customer_id,
        customer_value.clv_365d,
        customer_value.expected_orders_365d,
        customers.vip_status,
        percent_rank() over (order by customer_value.clv_365d desc) as share_above

    from {{ ref('fct_customer_value') }} as customer_value

    inner join {{ ref('dim_customers') }} as customers
        on customer_value.customer_id = customers.customer_id

    where customer_value.clv_365d > 0

)

select
    customer_id,
    concat(
        'expected to spend ', cast(clv_365d as decimal(18, 2)), ' within a year in ',
        round(expected_orders_365d, 1), ' orders'
    ) as reason,
    clv_365d

from customers

where
    share_above < 0.20
    and vip_status = 'none'
