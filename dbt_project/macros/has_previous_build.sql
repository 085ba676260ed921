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

{#- What only the build of the day could know: who was in by then, let in, held out, invited, which codes
    were issued, what was in stock. A build for an earlier day sees less, and would leave less behind. -#}
{% macro memories() -%}
    {{ return([
        'marts.audience_members',
        'marts.held_out',
        'marts_private.offer_codes',
        'intermediate.int_audience_assignments',
        'intermediate.int_products',
        'intermediate.int_survey_invitations'
    ]) }}
{%- endmacro %}

{#- Before every run: a build that goes back puts the memories aside, and the first one that is on that
    day again, or behind it, takes them up, unless somebody has dropped the table. Their day is written last.
    No relation is asked for: dbt would begin a transaction for that, and end none. -#}
{% macro keep_memories() -%}
    {%- if execute -%}
    {%- set last = last_build('int_order_changes') -%}
    {%- set tables = run_query(
        "select table_schema || '.' || table_name from information_schema.tables"
        ~ " where table_catalog = '" ~ target.database ~ "'"
    ).columns[0].values() -%}
    {%- if 'memories.day' in tables -%}
        {%- if run_query('select as_of from memories.day').rows[0][0] | string <= as_of_day() -%}
            {%- for memory in memories() if memory in tables and 'memories.' ~ memory.split('.')[1] in tables %}
                create or replace table {{ memory }} as from memories.{{ memory.split('.')[1] }};
            {%- endfor %}
            drop schema memories cascade
        {%- endif -%}
    {%- elif last and last['as_of'] | string > as_of_day() -%}
        create schema if not exists memories;
        {%- for memory in memories() if memory in tables %}
            create or replace table memories.{{ memory.split('.')[1] }} as from {{ memory }};
        {%- endfor %}
        create table memories.day as select date '{{ last["as_of"] }}' as as_of
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}
