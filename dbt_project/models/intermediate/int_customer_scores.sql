-- Everything that compares a customer with the population, in one projection: RFM, VIP, silence.
-- A view: it is read once, by dim_customers.
with

customers as (

    select * from {{ ref('int_customer_history') }}

    where order_count > 0

),

population as (

    select * from {{ ref('int_population') }}

),

scored as (

    select
        customers.customer_id,
        customers.recency_days,
        customers.frequency,
        population.second_order_days,
        {{ recency_score('customers.recency_days', 'population.recency_cuts') }} as r_score,
        {{ score('customers.frequency', 'population.frequency_cuts') }} as f_score,
        {{ score('customers.monetary', 'population.monetary_cuts') }} as m_score,
        {{ expected_days_between_orders(
            'customers.frequency',
            days_between('customers.first_order_date', 'customers.last_order_date')
        ) }} as expected_days_between_orders,
        {{ spend_tier('customers.net_spend_vip_months', 'population.vip_spend_cuts') }} as vip_tier,
        customers.net_spend_vip_months > 0
        and customers.net_spend_vip_months
        > population.vip_spend_cuts[{{ var('vip_tier_shares') | length + 1 }}]
        and (
            customers.order_count_12_months >= {{ var('vip_min_orders_12_months') }}
            or customers.order_count >= {{ var('vip_min_orders_lifetime') }}
        ) as is_valued

    from customers

    cross join population

),

with_limits as (

    select
        *,
        {{ silence_limit('at_risk') }} as at_risk_after_days,
        {{ silence_limit('lapsed') }} as lapsed_after_days

    from scored

),

with_states as (

    select
        *,
        recency_days > lapsed_after_days as is_lapsed,
        recency_days > at_risk_after_days and recency_days <= lapsed_after_days as is_at_risk

    from with_limits

),

final as (

    select
        customer_id,
        r_score,
        f_score,
        m_score,
        {{ rfm_segment('r_score', 'f_score', 'm_score') }} as rfm_segment,
        vip_tier,
        is_valued and not is_lapsed as is_vip,
        case
            when is_valued and is_lapsed then 'vip_at_risk'
            when is_valued then 'vip'
            else 'none'
        end as vip_status,
        expected_days_between_orders,
        at_risk_after_days,
        lapsed_after_days,
        is_at_risk,
        is_lapsed

    from with_states

)

select * from final
