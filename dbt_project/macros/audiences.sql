{#- What a destination asks consent for: e-mail, or the use of data for advertisements. -#}
{% macro medium_of(destination) -%}
    {{ return('email' if destination in var('email_destinations') else 'ads') }}
{%- endmacro %}

{#- The media an audience speaks on; all of them for one that is switched off, to tell what it would
    be. -#}
{% macro media_of(audience) -%}
    {%- set media = [] -%}
    {%- for destination in audience.destinations or [] -%}
        {%- do media.append(medium_of(destination.to)) -%}
    {%- endfor -%}
    {{ return((media or ['email', 'ads']) | unique | list) }}
{%- endmacro %}
