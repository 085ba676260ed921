with

lines as (

    select sum(net_amount) as net_amount from {{ ref('fct_order_lines') }}

),

orders as (

    select
        sum(net_amount) as net_amount,
        sum(case when customer_id is null then 0 else net_amount end) as net_amount_of_customers

    from {{ ref('fct_orders') }}

),

customers as (

    select sum(net_spend) as net_spend from {{ ref('dim_customers') }}

),

months as (

    select sum(net_revenue) as net_revenue from {{ ref('fct_monthly_kpis') }}

)

select *

from lines

cross join orders

cross join customers

cross join months

where
    lines.net_amount != orders.net_amount
    or orders.net_amount_of_customers != customers.net_spend
    or orders.net_amount != months.net_revenue
