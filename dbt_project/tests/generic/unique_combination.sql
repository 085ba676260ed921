{% test unique_combination(model, columns) %}
{#- A grain of one column or several. Numbers are grouped first, since texts would take all of DuckDB's
    memory for millions of rows; what shares a number is then told apart. -#}
{%- set rows = columns | join(', ') -%}

select {{ rows }}

from {{ model }}

where {{ row_fingerprint(columns) }} in (
    select {{ row_fingerprint(columns) }}

    from {{ model }}

    group by 1

    having count(*) > 1
)

group by {{ rows }}

having count(*) > 1

{% endtest %}
