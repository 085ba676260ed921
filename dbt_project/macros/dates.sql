{#- Arithmetic with days and months, between columns of type date; DuckDB's, another engine adds its
    own implementation. dbt's own macros go through timestamps, which costs time in the widest scans. -#}

{#- Whole days from one day to a later one. -#}
{% macro days_between(day, later_day) -%}
    {{ return(adapter.dispatch('days_between')(day, later_day)) }}
{%- endmacro %}

{% macro default__days_between(day, later_day) -%}
    (
        {{ later_day }}
        - {{ day }}
    )
{%- endmacro %}

{#- Calendar months from one day's month to a later one's. -#}
{% macro months_between(day, later_day) -%}
    {{ return(adapter.dispatch('months_between')(day, later_day)) }}
{%- endmacro %}

{% macro default__months_between(day, later_day) -%}
    date_diff('month', {{ day }}, {{ later_day }})
{%- endmacro %}

{#- The first day of a day's month. -#}
{% macro month_of(day) -%}
    {{ return(adapter.dispatch('month_of')(day)) }}
{%- endmacro %}

{% macro default__month_of(day) -%}
    cast(date_trunc('month', {{ day }}) as date)
{%- endmacro %}

{#- A day so many calendar months later; earlier, if negative. -#}
{% macro add_months(day, months) -%}
    {{ return(adapter.dispatch('add_months')(day, months)) }}
{%- endmacro %}

{% macro default__add_months(day, months) -%}
    cast({{ day }} + to_months(cast({{ months }} as integer)) as date)
{%- endmacro %}

{#- A day so many days later; earlier, if negative. -#}
{% macro add_days(day, days) -%}
    {{ return(adapter.dispatch('add_days')(day, days)) }}
{%- endmacro %}

{% macro default__add_days(day, days) -%}
    ({{ day }} + cast({{ days }} as integer))
{%- endmacro %}

{#- An instant so many hours later. -#}
{% macro default__add_hours(instant, hours) -%}
    ({{ instant }} + to_hours({{ hours }}))
{%- endmacro %}

{#- The last day of a day's month. -#}
{% macro month_end(day) -%}
    {{ add_days(add_months(month_of(day), 1), -1) }}
{%- endmacro %}

{#- The whole numbers from one up to but not including another, as a list. -#}
{% macro numbers_between(from, before) -%}
    {{ return(adapter.dispatch('numbers_between')(from, before)) }}
{%- endmacro %}

{% macro default__numbers_between(from, before) -%}
    range({{ from }}, {{ before }})
{%- endmacro %}

{#- Whether a day lies behind an earlier as-of day, and not behind the present one. -#}
{% macro is_newly_seen(day, earlier_as_of) -%}
    ({{ day }} > cast('{{ earlier_as_of }}' as date) and {{ day }} <= {{ as_of() }})
{%- endmacro %}
