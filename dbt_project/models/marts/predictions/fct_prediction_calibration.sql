-- Customers in ten groups by what a model said of them, beside what they did.
with

outcomes as (

    {{ backtest_outcomes() }}

),

predicted as (

    select
        predictions.model,
        predictions.expected_orders_backtest,
        predictions.p_order,
        predictions.p_order_calibrated,
        outcomes.customers,
        outcomes.customers_back,
        outcomes.order_days

    from {{ ref('int_history_predictions') }} as predictions

    inner join outcomes using (repeat_count, last_repeat_days, observed_days)

    where predictions.purpose = 'backtest'

),

measured as (

    select
        model,
        'orders' as measure,
        expected_orders_backtest as predicted,
        expected_orders_backtest as calibrated,
        customers,
        order_days as actual
    from predicted

    union all

    select
        model,
        'churn' as measure,
        1 - p_order as predicted,
        1 - p_order_calibrated as calibrated,
        customers,
        customers - customers_back as actual
    from predicted

),

-- Equal predictions stay in one group, so groups are not quite equal in size.
by_prediction as (

    select
        model,
        measure,
        predicted,
        min(calibrated) as calibrated,
        sum(customers) as customers,
        sum(actual) as actual

    from measured

    group by model, measure, predicted

),

grouped as (

    select
        *,
        cast(
            least(
                10,
                1 + floor(
                    10 * (
                        sum(customers) over (
                            partition by model, measure order by predicted
                        ) - customers
                    )
                    / sum(customers) over (partition by model, measure)
                )
            ) as integer
        ) as decile

    from by_prediction

),

final as (

    select
        model,
        measure,
        decile,
        cast(sum(customers) as bigint) as customers,
        sum(customers * predicted) / sum(customers) as predicted,
        sum(customers * calibrated) / sum(customers) as calibrated,
        sum(actual) / sum(customers) as actual

    from grouped

    group by model, measure, decile

)

select * from final
