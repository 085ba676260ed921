{#- What F counts and a gap lies between: orders, or days with an order (var rfm_frequency). -#}
{% macro frequency() -%}
    {%- if var('rfm_frequency') == 'orders' -%}
        order_count
    {%- elif var('rfm_frequency') == 'order_days' -%}
        order_day_count
    {%- else -%}
        {{ exceptions.raise_compiler_error("rfm_frequency is orders or order_days") }}
    {%- endif -%}
{%- endmacro %}

{#- Days with a counted order; only when F asks for them, since counting distinct days costs more than
    the rest of the pass. -#}
{% macro order_day_count() -%}
    {%- if var('rfm_frequency') == 'order_days' -%}
        count(distinct case when is_counted then ordered_date end)
    {%- else -%}
        cast(null as bigint)
    {%- endif -%}
{%- endmacro %}

{#- The day of the second order; of the second order day, if days are what F counts. -#}
{% macro second_order_date() -%}
    {%- if var('rfm_frequency') == 'order_days' -%}
        {{ adapter.dispatch('second_smallest')("case when is_counted then ordered_date end") }}
    {%- else -%}
        min(case when is_counted and not is_first_order then ordered_date end)
    {%- endif -%}
{%- endmacro %}

{#- The second smallest distinct value of a group; null when there is only one. -#}
{% macro default__second_smallest(value) -%}
    list_sort(list(distinct {{ value }}))[2]
{%- endmacro %}

{#- What M adds up: spend net of discounts and refunds, or gross (var rfm_monetary). -#}
{% macro monetary_amount() -%}
    {%- if var('rfm_monetary') in ['net', 'gross'] -%}
        {{ var('rfm_monetary') }}_amount
    {%- else -%}
        {{ exceptions.raise_compiler_error("rfm_monetary is net or gross") }}
    {%- endif -%}
{%- endmacro %}
