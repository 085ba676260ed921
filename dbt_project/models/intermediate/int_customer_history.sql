-- One pass over five columns of the orders, without a window and without a sort: everything that
-- customers are compared by. What is only told about them stands in int_customer_profiles.
with

orders as (

    select * from {{ ref('fct_orders') }}

    where customer_id is not null

),

history as (

    select
        customer_id,
        count(case when is_counted then 1 end) as order_count,
        count(case when is_counted and ordered_date > {{ months_before_as_of(12) }} then 1 end)
            as order_count_12_months,
        {{ order_day_count() }} as order_day_count,
        min(case when is_counted then ordered_date end) as first_order_date,
        {{ second_order_date() }} as second_order_date,
        max(case when is_counted then ordered_date end) as last_order_date,
        sum({{ monetary_amount() }}) as monetary,
        sum(
            case
                when ordered_date > {{ months_before_as_of(var('vip_spend_months')) }}
                    then net_amount
                else 0
            end
        ) as net_spend_vip_months

    from orders

    group by customer_id

),

final as (

    select
        customer_id,
        order_count,
        order_count_12_months,
        order_day_count,
        first_order_date,
        second_order_date,
        last_order_date,
        {{ days_between('last_order_date', as_of()) }} as recency_days,
        {{ frequency() }} as frequency,
        cast(monetary as decimal(18, 4)) as monetary,
        cast(net_spend_vip_months as decimal(18, 4)) as net_spend_vip_months

    from history

)

select * from final
