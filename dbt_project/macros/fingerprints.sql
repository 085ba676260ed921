{#- A number that rows with other values will hardly share; sums of it tell whether a set of rows has
    changed. Compared only with what the same engine has computed. -#}
{% macro row_fingerprint(columns) -%}
    {{ return(adapter.dispatch('row_fingerprint')(columns)) }}
{%- endmacro %}

{% macro default__row_fingerprint(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}
