{#- What an amount of advertising is multiplied by; null when its worth is unknown. Without a reporting
    currency only amounts in the currency of the orders count. Needs the tables `ad_spend`, `rates`
    and `span` (with the orders' currency). -#}
{% macro ad_spend_rate() -%}
    {%- if var('reporting_currency') -%}
        rates.exchange_rate
    {%- else -%}
        case
            when coalesce(span.currency, ad_spend.currency) = ad_spend.currency then 1
        end
    {%- endif -%}
{%- endmacro %}

{#- The platform whose advertisements an acquisition source stands for (var ad_platforms). -#}
{% macro ad_platform(acquisition_source) -%}
    case lower({{ acquisition_source }})
        {%- for source, platform in var('ad_platforms').items() %}
        when '{{ source }}' then '{{ platform }}'
        {%- endfor %}
        else lower({{ acquisition_source }})
    end
{%- endmacro %}
