with

history as (

    select * from {{ ref('int_customer_history') }}

),

profiles as (

    select * from {{ ref('int_customer_profiles') }}

),

scores as (

    select * from {{ ref('int_customer_scores') }}

),

population as (

    select * from {{ ref('int_population') }}

),

contacts as (

    select * from {{ ref('dim_contacts') }}

),

lifecycles as (

    select * from {{ ref('fct_lifecycle_changes') }}

    where left_date is null

),

customers as (

    select customer_id from history

    union

    select customer_id from contacts

),

joined as (

    select
        customers.customer_id,
        history.* exclude (customer_id, order_count, order_count_12_months, net_spend_vip_months),
        profiles.* exclude (customer_id, country, net_spend, gross_spend, net_spend_12_months),
        scores.* exclude (customer_id, vip_tier, is_vip, vip_status, is_lapsed),
        population.recency_cuts,
        population.frequency_cuts,
        population.monetary_cuts,
        population.second_order_days,
        contacts.suppressed_reason,
        lifecycles.entered_date as lifecycle_stage_since,
        lifecycles.reason as entry_reason,
        coalesce(lifecycles.stage, 'prospect') as lifecycle_stage,
        coalesce(history.order_count, 0) as order_count,
        coalesce(history.order_count_12_months, 0) as order_count_12_months,
        coalesce(history.net_spend_vip_months, 0) as net_spend_vip_months,
        coalesce(profiles.net_spend, 0) as net_spend,
        coalesce(profiles.gross_spend, 0) as gross_spend,
        coalesce(profiles.net_spend_12_months, 0) as net_spend_12_months,
        coalesce(scores.vip_tier, 'none') as vip_tier,
        coalesce(scores.is_vip, false) as is_vip,
        coalesce(scores.vip_status, 'none') as vip_status,
        coalesce(scores.is_lapsed, false) as is_lapsed,
        coalesce(profiles.country, contacts.country) as country,
        coalesce(contacts.has_email_consent, false) as has_email_consent,
        coalesce(contacts.has_ads_consent, false) as has_ads_consent,
        coalesce(contacts.has_sms_consent, false) as has_sms_consent

    from customers

    left join history
        on customers.customer_id = history.customer_id

    left join profiles
        on customers.customer_id = profiles.customer_id

    left join scores
        on customers.customer_id = scores.customer_id

    left join contacts
        on customers.customer_id = contacts.customer_id

    left join lifecycles
        on customers.customer_id = lifecycles.customer_id

    cross join population

),

final as (

    select
        customer_id,
        first_ordered_at,
        last_ordered_at,
        first_order_date,
        second_order_date,
        last_order_date,
        order_count,
        order_day_count,
        order_count_12_months,
        net_spend,
        gross_spend,
        net_spend_12_months,
        net_spend_vip_months,
        cast(net_spend / nullif(order_count, 0) as decimal(18, 4)) as average_order_value,
        currency,
        recency_days,
        r_score,
        f_score,
        m_score,
        cast(100 * r_score + 10 * f_score + m_score as varchar) as rfm_code,
        rfm_segment,
        '{{ var("rfm_method") }}' as rfm_method,
        cast(floor({{ cut_at('recency_cuts', '5 - r_score') }}) as bigint) + 1
            as recency_days_from,
        cast(floor({{ cut_at('recency_cuts', '6 - r_score') }}) as bigint) as recency_days_to,
        cast(floor({{ cut_at('frequency_cuts', 'f_score - 1') }}) as bigint) + 1
            as order_count_from,
        cast(floor({{ cut_at('frequency_cuts', 'f_score') }}) as bigint) as order_count_to,
        cast({{ cut_at('monetary_cuts', 'm_score - 1') }} as decimal(18, 4)) as net_spend_from,
        cast({{ cut_at('monetary_cuts', 'm_score') }} as decimal(18, 4)) as net_spend_to,
        vip_tier,
        is_vip,
        vip_status,
        {{ vip_reason() }} as vip_reason,
        lifecycle_stage,
        lifecycle_stage_since,
        {{ lifecycle_reason() }} as lifecycle_reason,
        expected_days_between_orders,
        at_risk_after_days,
        lapsed_after_days,
        is_lapsed,
        case when order_count > 0 then {{ lapse_reason() }} end as lapse_reason,
        country,
        has_email_consent,
        has_ads_consent,
        has_sms_consent,
        suppressed_reason

    from joined

)

select * from final
