-- What each model, knowing nothing of the hold-out window, said of it, and which one is used.
with

fits as (

    select * from {{ ref('int_prediction_fits') }}

    where
        purpose = 'prediction'
        and model != 'gamma_gamma'

),

past_fits as (

    select
        model,
        refusal as backtest_refusal
    from {{ ref('int_prediction_fits') }}

    where purpose = 'backtest'

),

outcomes as (

    {{ backtest_outcomes() }}

),

predicted as (

    select
        predictions.model,
        predictions.expected_orders_backtest,
        predictions.p_alive,
        predictions.p_order,
        predictions.p_order_calibrated,
        outcomes.customers,
        outcomes.customers_back,
        outcomes.order_days,
        outcomes.order_days_log,
        -- A model that expects nothing of somebody who then orders is wrong, not infinitely so.
        greatest(predictions.expected_orders_backtest, 0.0001) as expected

    from {{ ref('int_history_predictions') }} as predictions

    inner join outcomes using (repeat_count, last_repeat_days, observed_days)

    where predictions.purpose = 'backtest'

),

totals as (

    select
        model,
        sum(customers) as backtest_customers,
        sum(customers * expected_orders_backtest) as expected_orders,
        sum(order_days) as actual_orders,
        2 * sum(order_days_log - order_days * ln(expected) - order_days + customers * expected)
        / sum(customers) as mean_deviance,
        sum(customers * (1 - p_order)) / sum(customers) as churn_predicted,
        sum(customers * (1 - p_order_calibrated)) / sum(customers) as churn_calibrated,
        sum(customers - customers_back) / sum(customers) as churn_actual

    from predicted

    group by model

),

ranked_by_orders as (

    {{ customers_ranked_by('expected_orders_backtest') }}

),

ranked_by_p_alive as (

    {{ customers_ranked_by('p_alive') }}

),

ranked as (

    select
        *,
        'orders' as ranked_by
    from ranked_by_orders

    union all

    select
        *,
        'p_alive' as ranked_by
    from ranked_by_p_alive

),

-- The chance that somebody who came back was ranked above somebody who did not; ties count half.
areas as (

    select
        model,
        ranked_by,
        sum(customers_back * (gone_below + customers_gone / 2.0))
        / nullif(sum(customers_back) * sum(customers_gone), 0) as auc

    from ranked

    group by model, ranked_by

),

compared as (

    select
        fits.model,
        fits.refusal,
        fits.log_likelihood,
        past_fits.backtest_refusal,
        totals.* exclude (model),
        by_orders.auc,
        by_p_alive.auc as auc_p_alive,
        row_number() over (
            order by
                fits.refusal is not null asc,
                totals.mean_deviance asc nulls last,
                fits.log_likelihood desc nulls last,
                fits.model asc
        ) as place

    from fits

    left join past_fits
        on fits.model = past_fits.model

    left join totals
        on fits.model = totals.model

    left join areas as by_orders
        on
            fits.model = by_orders.model
            and by_orders.ranked_by = 'orders'

    left join areas as by_p_alive
        on
            fits.model = by_p_alive.model
            and by_p_alive.ranked_by = 'p_alive'

),

chosen as (

    select
        *,
        refusal is null and place = 1 as is_used,
        -- BG/NBD calls everybody alive who has bought once.
        refusal is null
        and model != 'bg_nbd'
        and place = min(case when model != 'bg_nbd' then place end) over () as is_used_for_p_alive

    from compared

),

final as (

    select
        {{ as_of() }} as as_of_date,
        {{ backtest_cutoff() }} as last_known_date,
        cast({{ var('backtest_days') }} as integer) as backtest_days,
        cast({{ var('churn_days') }} as integer) as churn_days,
        model,
        is_used,
        is_used_for_p_alive,
        case
            when refusal is not null then concat('refused: ', refusal)
            when is_used and mean_deviance is not null
                then concat(
                    'best in the back-test: deviance ', round(mean_deviance, 4),
                    ' in {{ var("backtest_days") }} days'
                )
            when is_used and log_likelihood is not null
                then concat('no back-test yet (', backtest_refusal, '); the likeliest model')
            when is_used then 'nothing else could be fitted'
            when mean_deviance is not null
                then concat(
                    'deviance ', round(mean_deviance, 4), ' in the back-test is not the lowest'
                )
            else concat('not in the back-test: ', backtest_refusal)
        end as reason,
        cast('mean Poisson deviance of the orders in the hold-out window' as varchar) as criterion,
        mean_deviance,
        auc,
        auc_p_alive,
        cast(backtest_customers as bigint) as backtest_customers,
        expected_orders,
        cast(actual_orders as bigint) as actual_orders,
        churn_predicted,
        churn_calibrated,
        churn_actual

    from chosen

)

select * from final
