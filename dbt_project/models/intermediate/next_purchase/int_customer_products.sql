-- One pass over the lines: what everybody has bought of what. Affinity, owned products, first
-- purchases and repeat purchases all start from here.
with

lines as (

    select * from {{ ref('int_order_lines') }}

    where
        customer_id is not null
        and sku is not null
        and excluded_by is null
        and not is_cancelled
        and {{ is_customer_changed() }}

),

products as (

    select
        source,
        sku,
        product_key

    from {{ ref('int_products') }}

    where line_count > 0

),

final as (

    select
        lines.customer_id,
        products.product_key,
        min(case when lines.line_kind = 'sale' then lines.ordered_date end)
            as first_purchase_date,
        max(case when lines.line_kind = 'sale' then lines.ordered_date end)
            as last_purchase_date,
        count(case when lines.line_kind = 'sale' then 1 end) as line_count,
        cast(sum(lines.gross_amount - lines.discount_amount) as decimal(18, 4)) as net_spend

    from lines

    inner join products
        on
            lines.source = products.source
            and lines.sku = products.sku

    group by
        lines.customer_id,
        products.product_key

    having count(case when lines.line_kind = 'sale' then 1 end) > 0

)

select * from final
