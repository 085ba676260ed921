{#- The last day that the back-test's fits may know; the hold-out window follows, up to the as-of day.
    Whether somebody is gone for churn_days has to be seen within it. -#}
{% macro backtest_cutoff() -%}
    {%- if var('churn_days') > var('backtest_days') -%}
        {{ exceptions.raise_compiler_error("churn_days must not exceed backtest_days") }}
    {%- endif -%}
    {{ add_days(as_of(), -var('backtest_days')) }}
{%- endmacro %}
