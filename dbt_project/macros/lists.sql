{#- Lists of values in one column, and questions about them. DuckDB's names; another engine adds
    its own implementation. An empty or missing list holds nothing: the answer is false. -#}

{#- All non-null values of a group as one list. -#}
{% macro collect(value) -%}
    {{ return(adapter.dispatch('collect')(value)) }}
{%- endmacro %}

{% macro default__collect(value) -%}
    list_filter(list({{ value }}), lambda element: element is not null)
{%- endmacro %}

{#- Whether a value is in a list, letter case included. -#}
{% macro is_among(value, list) -%}
    {{ return(adapter.dispatch('is_among')(value, list)) }}
{%- endmacro %}

{% macro default__is_among(value, list) -%}
    coalesce(list_contains({{ list }}, {{ value }}), false)
{%- endmacro %}

{#- Whether a text begins with any element of a list. -#}
{% macro starts_with_any(value, list) -%}
    {{ return(adapter.dispatch('starts_with_any')(value, list)) }}
{%- endmacro %}

{% macro default__starts_with_any(value, list) -%}
    coalesce(len(list_filter({{ list }}, lambda prefix: starts_with({{ value }}, prefix))) > 0, false)
{%- endmacro %}

{#- In a select: one row per element of a list, none for an empty or missing one. -#}
{% macro each_element(list) -%}
    {{ return(adapter.dispatch('each_element')(list)) }}
{%- endmacro %}

{% macro default__each_element(list) -%}
    unnest({{ list }})
{%- endmacro %}

{#- In a select beside `each_element`: the element's place in the list, from 1. -#}
{% macro element_number(list) -%}
    {{ return(adapter.dispatch('element_number')(list)) }}
{%- endmacro %}

{% macro default__element_number(list) -%}
    generate_subscripts({{ list }}, 1)
{%- endmacro %}

{#- What follows the last separator in a text; the whole text, if there is none. -#}
{% macro last_part(text, separator) -%}
    {{ return(adapter.dispatch('last_part')(text, separator)) }}
{%- endmacro %}

{% macro default__last_part(text, separator) -%}
    split_part({{ text }}, '{{ separator }}', -1)
{%- endmacro %}

{#- A list of texts without their outer blanks, in capital letters. -#}
{% macro upper_texts(list) -%}
    {{ return(adapter.dispatch('upper_texts')(list)) }}
{%- endmacro %}

{% macro default__upper_texts(list) -%}
    list_transform({{ list }}, lambda element: upper(trim(element)))
{%- endmacro %}

{#- Whether any element of a list meets a condition, which calls it `element`. -#}
{% macro any_element(list, condition) -%}
    {{ return(adapter.dispatch('any_element')(list, condition)) }}
{%- endmacro %}

{% macro default__any_element(list, condition) -%}
    coalesce(len(list_filter({{ list }}, lambda element: {{ condition }})) > 0, false)
{%- endmacro %}
