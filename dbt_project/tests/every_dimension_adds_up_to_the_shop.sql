-- By country and by source the figures of a month are those of the shop; by first-order month those
-- of the shop without its guests and those who never had an order that counts.
with

kpis as (

    select
        dimension,
        month,
        sum(net_revenue) as net_revenue,
        sum(new_revenue) as new_revenue,
        sum(new_customers) as new_customers,
        sum(active_customers) as active_customers,
        sum(customers_at_end) as customers_at_end,
        sum(engaged_customers) as engaged_customers

    from {{ ref('fct_kpis_by_dimension') }}

    group by dimension, month

)

select
    shop.month,
    parts.dimension

from kpis as shop

inner join kpis as parts
    on shop.month = parts.month

where
    shop.dimension = 'shop'
    and (
        (parts.dimension != 'first_order_month' and parts.net_revenue != shop.net_revenue)
        or parts.new_revenue != shop.new_revenue
        or parts.new_customers != shop.new_customers
        or parts.active_customers != shop.active_customers
        or parts.customers_at_end != shop.customers_at_end
        or parts.engaged_customers != shop.engaged_customers
    )
