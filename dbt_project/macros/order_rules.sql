{#- What the rules of sources.yml say of each source's orders, one row per source. -#}
{% macro rules_by_source() -%}
    select
        source,
        max(case when rule = 'cancellation_prefix' then value end) as cancellation_prefix,
        {{ collect("case when rule = 'excluded_order_prefix' then value end") }}
            as excluded_order_prefixes,
        {{ collect("case when rule = 'excluded_order_statuses' then value end") }}
            as excluded_order_statuses,
        {{ collect("case when rule = 'non_product_skus' then value end") }} as non_product_skus,
        {{ collect("case when rule = 'non_product_sku_prefixes' then value end") }}
            as non_product_sku_prefixes,
        coalesce(bool_or(rule = 'write_off_without_price' and value = 'true'), false)
            as has_write_offs,
        coalesce(bool_or(rule = 'sku_case' and value = 'upper'), false) as has_upper_skus

    from {{ source('raw', 'source_rules') }}

    group by source
{%- endmacro %}

{#- Whether an order is dated more than a day after its page was landed: a clock that is a zone off
    is forgiven, a wrong year is not. -#}
{% macro is_in_the_future(ordered_at, landed_at) -%}
    coalesce({{ adapter.dispatch('add_hours')(landed_at, 24) }} < {{ ordered_at }}, false)
{%- endmacro %}
