-- What single customers are compared with. Only customers with a counted order take part: a rank
-- over nulls would push everybody up.
with

customers as (

    select
        frequency,
        recency_days,
        net_spend_vip_months,
        monetary,
        {{ days_between('first_order_date', 'last_order_date') }} as span_days,
        {{ days_between('first_order_date', 'second_order_date') }} as days_to_second_order

    from {{ ref('int_customer_history') }}

    where order_count > 0

),

final as (

    select
        count(*) as customer_count,
        count(case when frequency > 1 then 1 end) as repeat_customer_count,
        {{ recency_cut_points('recency_days') }} as recency_cuts,
        {{ cut_points('frequency') }} as frequency_cuts,
        {{ cut_points('monetary') }} as monetary_cuts,
        {{ top_share_cuts(
            'case when net_spend_vip_months > 0 then net_spend_vip_months end',
            var('vip_tier_shares').values() | list + [var('vip_top_share')]
        ) }} as vip_spend_cuts,
        sum(span_days) / nullif(sum(frequency - 1), 0) as mean_gap_days,
        quantile_disc(
            days_to_second_order,
            [{{ var('at_risk_after_share') }}, {{ var('lapsed_after_share') }}]
        ) as second_order_days

    from customers

)

select * from final
