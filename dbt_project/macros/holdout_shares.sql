{#- One row per declared audience: what percentage of it is held out. -#}
{% macro holdout_shares() -%}
    {%- for audience in var('audiences') %}
    select
        '{{ audience.name }}' as audience,
        {{ audience.holdout_percent }} as holdout_percent

    union all
    {% endfor %}
    select
        cast(null as varchar) as audience,
        cast(null as integer) as holdout_percent
    where false
{%- endmacro %}
