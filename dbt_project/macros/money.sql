{#- What the var reporting_currency makes of amounts, rates and currencies; without it they stay. -#}
{% macro in_reporting_currency(amount, rate) -%}
    {%- if var('reporting_currency') -%}
        cast(round({{ amount }} * {{ rate }}, 4) as decimal(18, 4))
    {%- else -%}
        {{ amount }}
    {%- endif -%}
{%- endmacro %}

{% macro exchange_rate(rate) -%}
    {%- if var('reporting_currency') -%}
        {{ rate }}
    {%- else -%}
        cast(1 as decimal(28, 14))
    {%- endif -%}
{%- endmacro %}

{% macro reporting_currency(currency) -%}
    {%- if var('reporting_currency') -%}
        cast('{{ var("reporting_currency") }}' as varchar)
    {%- else -%}
        {{ currency }}
    {%- endif -%}
{%- endmacro %}

{#- A number of things, and what one is worth: a product has the digits behind both points, so a large
    one takes a type that is slow. -#}
{% macro multiplied(quantity, amount) -%}
    case
        when abs(cast({{ quantity }} as double) * cast({{ amount }} as double)) < 1000000000
            then cast({{ quantity }} * {{ amount }} as decimal(18, 4))
        else cast(cast({{ quantity }} as decimal(38, 4)) * {{ amount }} as decimal(18, 4))
    end
{%- endmacro %}
