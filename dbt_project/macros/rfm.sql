{#- RFM: four cut points per measure divide the customers into the scores 1 to 5. `v > cut` counts, so
    equal values always share a score.

    rank: the score is least(5, 1 + floor(5 * (rank - 1) / n)) with RANK(). At least k of 5 customers
    stand below v exactly if v exceeds the value at position ceil(k * n / 5), which is what
    quantile_disc returns (with decimal, not floating, shares). Four values instead of a window over
    everybody.
    value_quantiles: the interpolated quantiles, bins (a, b]. -#}

{#- The four cut points of a measure of which more is better. -#}
{% macro cut_points(value) -%}
    {%- if var('rfm_method') == 'rank' -%}
        quantile_disc({{ value }}, [0.2, 0.4, 0.6, 0.8])
    {%- elif var('rfm_method') == 'value_quantiles' -%}
        quantile_cont(cast({{ value }} as double), [0.2, 0.4, 0.6, 0.8])
    {%- else -%}
        {{ exceptions.raise_compiler_error("rfm_method is rank or value_quantiles") }}
    {%- endif -%}
{%- endmacro %}

{#- The four cut points of days of silence, of which fewer is better. For ranks, the cut points of the
    negated days turned back: -days > -c is, in whole days, not days > c - 1. -#}
{% macro recency_cut_points(days) -%}
    {%- if var('rfm_method') == 'rank' -%}
        list_transform(
            quantile_disc(-{{ days }}, [0.8, 0.6, 0.4, 0.2]), lambda cut: -cut - 1
        )
    {%- else -%}
        {{ cut_points(days) }}
    {%- endif -%}
{%- endmacro %}

{#- How many of the four cut points a value exceeds. -#}
{% macro cuts_below(value, cuts) -%}
    (
        cast({{ value }} > {{ cuts }}[1] as integer)
        + cast({{ value }} > {{ cuts }}[2] as integer)
        + cast({{ value }} > {{ cuts }}[3] as integer)
        + cast({{ value }} > {{ cuts }}[4] as integer)
    )
{%- endmacro %}

{#- The score 1 to 5 of a measure of which more is better. -#}
{% macro score(value, cuts) -%}
    1 + {{ cuts_below(value, cuts) }}
{%- endmacro %}

{#- The score 1 to 5 of days of silence. -#}
{% macro recency_score(days, cuts) -%}
    5 - {{ cuts_below(days, cuts) }}
{%- endmacro %}

{#- The cut point below or above a score; null at the open ends. -#}
{% macro cut_at(cuts, number) -%}
    {{ cuts }}[{{ number }}]
{%- endmacro %}

{#- The named segment of an R and an F score: a total partition of the 25 cells. -#}
{% macro rfm_segment(r_score, f_score) -%}
    case
        when {{ r_score }} = 5 and {{ f_score }} >= 4 then 'champions'
        when {{ r_score }} >= 3 and {{ f_score }} >= 4 then 'loyal_customers'
        when {{ r_score }} >= 4 and {{ f_score }} >= 2 then 'potential_loyalists'
        when {{ r_score }} = 5 then 'new_customers'
        when {{ r_score }} = 4 then 'promising'
        when {{ r_score }} = 3 and {{ f_score }} = 3 then 'need_attention'
        when {{ r_score }} = 3 then 'about_to_sleep'
        when {{ f_score }} = 5 then 'cant_lose_them'
        when {{ f_score }} >= 3 then 'at_risk'
        else 'hibernating'
    end
{%- endmacro %}
