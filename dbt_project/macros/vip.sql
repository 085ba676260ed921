{#- The values above which the given shares of a column lie, in the shares' order. Ties stay together,
    below. Shares are rounded to decimals, so that 1 - 0.9 cuts where 0.1 does. -#}
{% macro top_share_cuts(value, shares) -%}
    quantile_disc(
        {{ value }},
        [{% for share in shares %}{{ (1 - share) | round(6) }}{{ ", " if not loop.last }}{% endfor %}]
    )
{%- endmacro %}

{#- The spend tier of a value, given the cut points of the var vip_tier_shares, best tier first. -#}
{% macro spend_tier(value, cuts) -%}
    case
        {%- for tier in var('vip_tier_shares') %}
        when {{ value }} > {{ cuts }}[{{ loop.index }}] then '{{ tier }}'
        {%- endfor %}
        else 'none'
    end
{%- endmacro %}
