{#- Whether the table being built exists already, so that it can remember who was in it. -#}
{% macro has_previous_build() -%}
    {{ return(execute and load_relation(this) is not none) }}
{%- endmacro %}

{#- Columns of the table being built as the previous build left them; no rows if there was none. -#}
{% macro previous_build(exists, columns) -%}
    select
        {%- for column, type in columns.items() %}
        {{ column if exists else 'cast(null as ' ~ type ~ ') as ' ~ column }}{{ "," if not loop.last }}
        {%- endfor %}
    {{ 'from ' ~ this if exists else 'where false' }}
{%- endmacro %}
