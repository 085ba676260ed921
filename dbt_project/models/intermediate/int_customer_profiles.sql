-- What is told about a customer but never compared: instants, sums, and where the latest order came
-- from.
with

orders as (

    select * from {{ ref('fct_orders') }}

    where customer_id is not null

),

totals as (

    select
        customer_id,
        max(ordered_at) as last_seen_at,
        min(case when is_counted then ordered_at end) as first_ordered_at,
        max(case when is_counted then ordered_at end) as last_ordered_at,
        sum(gross_amount) as gross_spend,
        sum(net_amount) as net_spend,
        sum(case when ordered_date > {{ months_before_as_of(12) }} then net_amount else 0 end)
            as net_spend_12_months

    from orders

    group by customer_id

),

-- Of several orders at the latest instant any may speak, as long as it is always the same one.
latest_orders as (

    select
        orders.customer_id,
        max(orders.country) as country,
        max(orders.currency) as currency

    from orders

    inner join totals
        on
            orders.customer_id = totals.customer_id
            and orders.ordered_at = totals.last_seen_at

    group by orders.customer_id

),

final as (

    select
        totals.customer_id,
        totals.first_ordered_at,
        totals.last_ordered_at,
        cast(totals.gross_spend as decimal(18, 4)) as gross_spend,
        cast(totals.net_spend as decimal(18, 4)) as net_spend,
        cast(totals.net_spend_12_months as decimal(18, 4)) as net_spend_12_months,
        latest_orders.country,
        latest_orders.currency

    from totals

    inner join latest_orders
        on totals.customer_id = latest_orders.customer_id

)

select * from final
