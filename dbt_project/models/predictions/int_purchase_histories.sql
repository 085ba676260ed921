-- One pass over the order days: what the models know of a customer today, and what they would have
-- known before the hold-out window, beside what happened in it.
with

customers as (

    select
        customer_id,
        count(*) as order_days,
        count(case when is_past then 1 end) as past_order_days,
        min(ordered_date) as first_date,
        max(ordered_date) as last_date,
        max(case when is_past then ordered_date end) as past_last_date,
        sum(net_amount) as amount,
        sum(case when day_number > 1 then net_amount else 0 end) as repeat_amount,
        bool_or(is_return) as is_back

    from {{ ref('int_order_days') }}

    group by customer_id

),

final as (

    select
        customer_id,
        order_days - 1 as repeat_count,
        {{ days_between('first_date', 'last_date') }} as last_repeat_days,
        {{ days_between('first_date', as_of()) }} as observed_days,
        cast(amount as decimal(18, 4)) as amount,
        cast(repeat_amount as decimal(18, 4)) as repeat_amount,
        case when past_order_days > 0 then past_order_days - 1 end as past_repeat_count,
        {{ days_between('first_date', 'past_last_date') }} as past_last_repeat_days,
        case
            when past_order_days > 0
                then {{ days_between('first_date', backtest_cutoff()) }}
        end as past_observed_days,
        order_days - past_order_days as backtest_order_days,
        is_back

    from customers

)

select * from final
