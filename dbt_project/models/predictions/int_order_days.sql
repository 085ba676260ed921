-- Orders of one day are one purchase: the models count days, and a gap lies between two of them.
with

orders as (

    select * from {{ ref('fct_orders') }}

    where
        is_counted
        and customer_id is not null

),

days as (

    select
        customer_id,
        ordered_date,
        sum(net_amount) as net_amount

    from orders

    group by customer_id, ordered_date

),

final as (

    select
        customer_id,
        ordered_date,
        cast(net_amount as decimal(18, 4)) as net_amount,
        row_number() over customer_days as day_number,
        {{ days_between('lag(ordered_date) over customer_days', 'ordered_date') }}
            as days_since_previous,
        ordered_date <= {{ backtest_cutoff() }} as is_past,
        ordered_date > {{ backtest_cutoff() }}
        and ordered_date <= {{ add_days(backtest_cutoff(), var('churn_days')) }} as is_return

    from days

    window customer_days as (partition by customer_id order by ordered_date)

)

select * from final
