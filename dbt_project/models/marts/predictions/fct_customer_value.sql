-- What the model that did best in the back-test says of each customer, and what that is worth.
with

customers as (

    select
        customer_id,
        currency

    from {{ ref('dim_customers') }}

),

histories as (

    select * from {{ ref('int_purchase_histories') }}

),

models as (

    select * from {{ ref('fct_prediction_backtest') }}

),

predictions as (

    select
        predictions.*,
        models.is_used,
        models.is_used_for_p_alive

    from {{ ref('int_history_predictions') }} as predictions

    inner join models
        on predictions.model = models.model

    where predictions.purpose = 'prediction'

),

chosen as (

    select
        max(case when is_used then model end) as model,
        max(case when is_used_for_p_alive then model end) as p_alive_model,
        coalesce(
            max(case when is_used then reason end),
            max(case when model = 'curve' then reason end)
        ) as model_reason

    from models

),

amounts as (

    select
        parameters['p'] as p,
        parameters['q'] as q,
        parameters['v'] as v,
        refusal

    from {{ ref('int_prediction_fits') }}

    where model = 'gamma_gamma'

),

population as (

    select cast(sum(amount) as double) / nullif(sum(repeat_count + 1), 0) as mean_amount

    from histories

),

-- The expected amount of an order day: Gamma-Gamma's, which weighs the customer's own mean of the
-- repeat orders against everybody's; refused, the own mean with everybody's as one order more.
valued as (

    select
        histories.customer_id,
        histories.repeat_count,
        histories.last_repeat_days,
        histories.observed_days,
        case when amounts.refusal is null then 'gamma_gamma' else 'mean' end as value_model,
        greatest(
            0,
            case
                when amounts.refusal is null
                    then
                        amounts.p * (amounts.v + greatest(histories.repeat_amount, 0))
                        / (amounts.p * histories.repeat_count + amounts.q - 1)
                else (histories.amount + population.mean_amount) / (histories.repeat_count + 2)
            end
        ) as order_value

    from histories

    cross join population

    cross join amounts

),

final as (

    select
        customers.customer_id,
        alive.p_alive,
        used.expected_orders_30d,
        used.expected_orders_90d,
        used.expected_orders_365d,
        1 - used.p_order_calibrated as churn_probability,
        {{ add_days(as_of(), 'used.days_to_next_order') }} as expected_next_order_date,
        cast(round(valued.order_value, 4) as decimal(18, 4)) as expected_order_value,
        cast(round(used.discounted_orders_365d * valued.order_value, 4) as decimal(18, 4))
            as clv_365d,
        customers.currency,
        case when valued.customer_id is not null then chosen.model end as model,
        case when valued.customer_id is not null then chosen.p_alive_model end as p_alive_model,
        case
            when valued.customer_id is null then 'no order yet' else chosen.model_reason
        end as model_reason,
        valued.value_model

    from customers

    cross join chosen

    left join valued
        on customers.customer_id = valued.customer_id

    left join predictions as used
        on
            valued.repeat_count = used.repeat_count
            and valued.last_repeat_days = used.last_repeat_days
            and valued.observed_days = used.observed_days
            and used.is_used

    left join predictions as alive
        on
            valued.repeat_count = alive.repeat_count
            and valued.last_repeat_days = alive.last_repeat_days
            and valued.observed_days = alive.observed_days
            and alive.is_used_for_p_alive

)

select * from final
