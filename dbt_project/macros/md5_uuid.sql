{#- The md5 of a text as a 128-bit value: compared in one step, stored in 16 bytes. -#}
{% macro md5_uuid(text) -%}
    cast(md5({{ text }}) as uuid)
{%- endmacro %}

{#- What a person is known by, as a 128-bit value that can be told to analysts; the kind keeps a
    telephone number and a platform's id apart. Null for null. -#}
{% macro identifier_key(kind, value) -%}
    {{ md5_uuid("'" ~ kind ~ ":' || " ~ value) }}
{%- endmacro %}

{#- 64 bits of the md5 of a text as a number, the same in every build. -#}
{% macro md5_number(text) -%}
    {{ return(adapter.dispatch('md5_number')(text)) }}
{%- endmacro %}

{% macro default__md5_number(text) -%}
    md5_number_lower({{ text }})
{%- endmacro %}

{#- A product as a number. -#}
{% macro product_key(source, sku) -%}
    {{ md5_number(source ~ " || ':' || " ~ sku) }}
{%- endmacro %}

{#- A 128-bit value as 32 hexadecimal digits. -#}
{% macro hex_digits(value) -%}
    replace(cast({{ value }} as varchar), '-', '')
{%- endmacro %}
