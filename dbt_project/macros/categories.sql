{#- Of the categories of products an increment of int_customer_categories needs to know what they were:
    a record of the product changes its buyers' orders, a line of somebody else's may not. -#}

{#- Whether a customer's categories are computed; true in a full build. Else for those whose orders
    changed, and for the buyers of a product that is of another category than it was. -#}
{% macro are_categories_changed(customer_id='customer_id') -%}
    {%- if is_increment() -%}
    {{ customer_id }} in (
        {{ changed_customers() }}

        union

        select buyers.customer_id
        from {{ ref('int_customer_products') }} as buyers
        where buyers.product_key in (
            select products.product_key
            from {{ ref('int_products') }} as products
            left join {{ as_last_built('intermediate', 'known_categories') }} as known
                on products.product_key = known.product_key
            where products.category is distinct from known.category
        )
    )
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{#- Pre-hook of an increment: what is computed anew goes first. -#}
{% macro forget_changed_categories() -%}
    {{ 'delete from ' ~ this ~ ' where ' ~ are_categories_changed() if is_increment() }}
{%- endmacro %}

{#- Post-hook, in the transaction of the rows: what the next build compares with. -#}
{% macro remember_categories() -%}
    create or replace table intermediate.known_categories as
    select
        product_key,
        category
    from {{ ref('int_products') }}
{%- endmacro %}
