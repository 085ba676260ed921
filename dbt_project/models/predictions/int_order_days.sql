-- Orders of one day are one purchase: the models count days, and a gap lies between two of them.
with

days as (

    select * from {{ ref('int_customer_days') }}

),

final as (

    select
        customer_id,
        ordered_date,
        net_amount,
        day_number,
        {{ days_between('previous_order_date', 'ordered_date') }} as days_since_previous,
        ordered_date <= {{ backtest_cutoff() }} as is_past,
        ordered_date > {{ backtest_cutoff() }}
        and ordered_date <= {{ add_days(backtest_cutoff(), var('churn_days')) }} as is_return

    from days

)

select * from final
