{#- The md5 of a text as a 128-bit value: compared in one step, stored in 16 bytes. -#}
{% macro md5_uuid(text) -%}
    cast(md5({{ text }}) as uuid)
{%- endmacro %}
