{#- Schemas are named exactly as the models say: people and tools rely on `marts.customers`. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
