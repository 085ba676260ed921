{#- A whole row, named by its table alias, as one JSON object. -#}
{% macro row_as_json(table_alias) -%}
    to_json({{ table_alias }})
{%- endmacro %}

{#- One value of a JSON object as text; null when the key is missing. -#}
{% macro json_text(object, key) -%}
    json_extract_string({{ object }}, '$.{{ key }}')
{%- endmacro %}

{#- A JSON object as text without some of its keys: RFC 7396 removes a key patched with null. -#}
{% macro without_keys(object, keys) -%}
    cast(
        json_merge_patch({{ object }}, '{ {%- for key in keys %}"{{ key }}":null{{ "," if not loop.last }}{% endfor -%} }')
        as varchar
    )
{%- endmacro %}

{#- A JSON object as text with some of its keys only, in the order given. -#}
{% macro only_keys(object, keys) -%}
    cast(
        json_object(
            {%- for key in keys %}
            '{{ key }}', json_extract({{ object }}, '$.{{ key }}'){{ "," if not loop.last }}
            {%- endfor %}
        ) as varchar
    )
{%- endmacro %}

{#- Several values as one text in which no two different lists look alike. -#}
{% macro json_list(values) -%}
    cast(json_array({{ values | join(', ') }}) as varchar)
{%- endmacro %}

{#- Whether a JSON object has a key, whatever its value. -#}
{% macro has_key(object, key) -%}
    list_contains(json_keys({{ object }}), {{ key }})
{%- endmacro %}

{#- A JSON object with one more key. -#}
{% macro with_key(object, key, value) -%}
    cast(json_merge_patch({{ object }}, json_object('{{ key }}', {{ value }})) as varchar)
{%- endmacro %}
