{#- The last day that the back-test's fits may know; the hold-out window follows, up to the as-of day.
    Whether somebody is gone for churn_days has to be seen within it. -#}
{% macro backtest_cutoff() -%}
    {%- if var('churn_days') > var('backtest_days') -%}
        {{ exceptions.raise_compiler_error("churn_days must not exceed backtest_days") }}
    {%- endif -%}
    {{ add_days(as_of(), -var('backtest_days')) }}
{%- endmacro %}

{#- What happened in the hold-out window to the customers of each history before it. -#}
{% macro backtest_outcomes() -%}
    select
        past_repeat_count as repeat_count,
        past_last_repeat_days as last_repeat_days,
        past_observed_days as observed_days,
        count(*) as customers,
        count(case when is_back then 1 end) as customers_back,
        sum(backtest_order_days) as order_days,
        sum(
            case
                when backtest_order_days > 0 then backtest_order_days * ln(backtest_order_days)
                else 0
            end
        ) as order_days_log

    from {{ ref('int_purchase_histories') }}

    where past_repeat_count is not null

    group by past_repeat_count, past_last_repeat_days, past_observed_days
{%- endmacro %}

{#- Of the table `predicted`: per model and distinct prediction how many came back and how many did
    not, and how many of the latter have a lower one. -#}
{% macro customers_ranked_by(prediction) -%}
    select
        model,
        sum(customers_back) as customers_back,
        sum(customers - customers_back) as customers_gone,
        sum(sum(customers - customers_back)) over (
            partition by model order by {{ prediction }}
        ) - sum(customers - customers_back) as gone_below

    from predicted

    group by model, {{ prediction }}
{%- endmacro %}
