{#- The latest anniversary of a day up to another day. Who was born on 29 February celebrates on the
    28th in a common year: adding months stops at the month's end. -#}
{% macro latest_anniversary(day, until) -%}
    {%- set years -%}
        (extract(year from {{ until }}) - extract(year from {{ day }}))
    {%- endset -%}
    case
        when {{ add_months(day, '12 * ' ~ years) }} <= {{ until }}
            then {{ add_months(day, '12 * ' ~ years) }}
        else {{ add_months(day, '12 * (' ~ years ~ ' - 1)') }}
    end
{%- endmacro %}

{#- The first day of the season of a day: of December, March, June or September. -#}
{% macro season_start(day) -%}
    {{ month_of(add_months(day, '-(extract(month from ' ~ day ~ ') % 3)')) }}
{%- endmacro %}

{#- The season of the year a day belongs to: 0 winter (December to February), 1 spring, 2 summer,
    3 autumn, as the north has them. -#}
{% macro season_of_year(day) -%}
    cast(floor((extract(month from {{ day }}) % 12) / 3) as integer)
{%- endmacro %}

{#- One row per step of the series that follows a purchase, with its days after the delivery. -#}
{% macro post_purchase_steps() -%}
    {%- for step, days in var('post_purchase_days').items() %}
    select
        'post_purchase_{{ step }}' as moment,
        {{ days }} as days_after
    {{- ' union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
