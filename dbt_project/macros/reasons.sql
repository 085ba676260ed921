{#- Why somebody is at risk or lapsed, in words; null for everybody else. -#}
{% macro lapse_reason() -%}
    case
        when not is_at_risk and not is_lapsed then null
        when {{ is_fixed_silence() }}
            then concat(
                'silent for ', recency_days, ' days, the limit is ',
                round(case when is_lapsed then lapsed_after_days else at_risk_after_days end, 0)
                    ::integer
            )
        when frequency > 1
            then concat(
                'usual gap ', round(expected_days_between_orders, 0)::integer,
                ' days, silent for ', recency_days
            )
        when is_lapsed
            then concat(
                'bought once; {{ (100 * var("lapsed_after_share")) | round | int }} % of second',
                ' orders come within ', second_order_days[2], ' days, silent for ', recency_days
            )
        else concat(
            'bought once; {{ (100 * var("at_risk_after_share")) | round | int }} % of second',
            ' orders come within ', second_order_days[1], ' days, silent for ', recency_days
        )
    end
{%- endmacro %}

{#- Why somebody is in their stage of life as a customer today, in words. -#}
{% macro lifecycle_reason() -%}
    case
        when lifecycle_stage = 'prospect' then 'no order that counts'
        when lifecycle_stage in ('at_risk', 'lapsed', 'lost') then {{ lapse_reason() }}
        when lifecycle_stage = 'won_back' then entry_reason
        when lifecycle_stage = 'new' then concat('first order ', recency_days, ' days ago')
        when frequency > 1
            then concat(
                'usual gap ', round(expected_days_between_orders, 0)::integer,
                ' days, silent for ', recency_days
            )
        else concat('bought once, silent for ', recency_days, ' days')
    end
{%- endmacro %}

{#- What makes a VIP, or a VIP gone quiet, in words; null for everybody else. -#}
{% macro vip_reason() -%}
    case
        when vip_status != 'none'
            then concat(
                'spent ', cast(net_spend_vip_months as decimal(18, 2)),
                ' in {{ var("vip_spend_months") }} months, ',
                order_count_12_months, ' orders in 12 months, ', order_count, ' in all'
            )
    end
{%- endmacro %}
