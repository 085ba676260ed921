{#- Whether the table being built exists already, so that it can remember who was in it. -#}
{% macro has_previous_build() -%}
    {{ return(execute and load_relation(this) is not none) }}
{%- endmacro %}

{#- Columns of the table being built as the previous build left them; no rows if there was none, and
    nulls in a column that an earlier release did not have. -#}
{% macro previous_build(exists, columns) -%}
    {%- set known = adapter.get_columns_in_relation(this) | map(attribute='name') | list
        if exists and execute and this is not string else [] -%}
    select
        {%- for column, type in columns.items() %}
        {{ column if exists and (column in known or not known) else 'cast(null as ' ~ type ~ ') as ' ~ column }}{{ "," if not loop.last }}
        {%- endfor %}
    {{ 'from ' ~ this if exists else 'where false' }}
{%- endmacro %}
