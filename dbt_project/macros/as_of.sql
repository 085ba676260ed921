{#- The day everything is computed for: the var `as_of`, else today. -#}
{% macro as_of_day() -%}
    {{ return((var("as_of") or run_started_at.strftime("%Y-%m-%d")) | string) }}
{%- endmacro %}

{#- The same as an expression. -#}
{% macro as_of() -%}
    cast('{{ as_of_day() }}' as date)
{%- endmacro %}

{#- The same day of the month, so many months before the as-of day. -#}
{% macro months_before_as_of(months) -%}
    {{ add_months(as_of(), -months) }}
{%- endmacro %}
