-- The days on which everybody ordered, with what lay before and after them: what lifecycles and the
-- purchase models start from. Nothing of it depends on other customers or on the as-of day, so only
-- customers whose orders changed are computed anew.
with

orders as (

    select * from {{ ref('fct_orders') }}

    where
        is_counted
        and customer_id is not null
        and {{ is_customer_changed() }}

),

days as (

    select
        customer_id,
        ordered_date,
        count(*) as order_count,
        cast(sum(net_amount) as decimal(18, 4)) as net_amount

    from orders

    group by customer_id, ordered_date

),

final as (

    select
        customer_id,
        ordered_date,
        order_count,
        net_amount,
        row_number() over so_far as day_number,
        cast(sum(order_count) over so_far as bigint) as order_number,
        min(ordered_date) over so_far as first_order_date,
        lag(ordered_date) over customer_days as previous_order_date,
        lead(ordered_date) over customer_days as next_order_date

    from days

    window
        customer_days as (partition by customer_id order by ordered_date),
        so_far as (
            partition by customer_id
            order by ordered_date
            rows between unbounded preceding and current row
        )

)

select * from final
