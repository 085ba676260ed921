{#- A bucket from 0 to 99, the same for ever: md5 instead of the engine's own hash, which may change
    between versions. The salt keeps the buckets of two audiences independent. -#}
{% macro stable_bucket(salt, key) -%}
    {{ return(adapter.dispatch('stable_bucket')(salt, key)) }}
{%- endmacro %}

{% macro default__stable_bucket(salt, key) -%}
    cast(md5_number_lower({{ salt }} || ':' || {{ key }}) % 100 as integer)
{%- endmacro %}
