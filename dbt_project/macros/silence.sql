{#- Whether a fixed number of days decides: by choice, or because nobody has ever come back, so that
    there is no rhythm to measure. -#}
{% macro is_fixed_silence() -%}
    {%- if var('lapse_method') == 'fixed_days' -%}
        true
    {%- elif var('lapse_method') == 'two_track' -%}
        (frequency = 1 and second_order_days is null)
    {%- else -%}
        {{ exceptions.raise_compiler_error("lapse_method is two_track or fixed_days") }}
    {%- endif -%}
{%- endmacro %}

{#- After how many days without an order a customer is 'at_risk' or 'lapsed'. -#}
{% macro silence_limit(state) -%}
    {%- set gaps = var(state ~ '_after_gaps') -%}
    case
        when {{ is_fixed_silence() }}
            then {{ var('lapse_fixed_days') }} * {{ gaps }} / {{ var('lapsed_after_gaps') }}
        when frequency > 1 then {{ gaps }} * expected_days_between_orders
        else second_order_days[{{ {'at_risk': 1, 'lapsed': 2}[state] }}]
    end
{%- endmacro %}

{#- The mean gap between so many orders over so many days, drawn towards the population's; null for
    one order. Needs the table `population`. -#}
{% macro expected_days_between_orders(frequency, span_days) -%}
    case
        when {{ frequency }} > 1
            then greatest(
                1.0,
                (
                    {{ span_days }}
                    + {{ var('lapse_prior_gaps') }} * population.mean_gap_days
                )
                / ({{ frequency }} - 1 + {{ var('lapse_prior_gaps') }})
            )
    end
{%- endmacro %}

{#- After how many days without an order somebody is not lapsed any more, but lost. -#}
{% macro lost_after_days() -%}
    {{ var('lost_after_lapses') }} * lapsed_after_days
{%- endmacro %}
