with

lines as (

    select * from {{ ref('int_order_lines') }}

    {{ where_changed() }}

),

products as (

    select * from {{ ref('stg_shop__products') }}

),

final as (

    select
        lines.order_id,
        row_number() over (
            partition by lines.order_id order by lines.line_id
        ) as line_number,
        lines.source,
        lines.customer_id,
        lines.ordered_at,
        lines.ordered_date,
        lines.line_kind,
        lines.sku,
        coalesce(lines.product_name, products.product_name) as product_name,
        coalesce(lines.category, products.category) as category,
        lines.quantity,
        lines.unit_price,
        lines.gross_amount,
        lines.discount_amount,
        cast(lines.gross_amount - lines.discount_amount as decimal(18, 4)) as net_amount,
        lines.currency,
        cast(
            lines.gross_amount
            - lines.discount_amount
            - case
                when lines.sku is null and lines.line_kind = 'return' then 0
                when coalesce(products.currency, lines.order_currency) = lines.order_currency
                    then
                        round(
                            cast(lines.quantity * products.unit_cost as decimal(18, 4))
                            * lines.exchange_rate,
                            4
                        )
            end
            as decimal(18, 4)
        ) as margin_amount,
        lines.order_currency_net_amount,
        lines.order_currency,
        lines.exchange_rate,
        lines.country

    from lines

    left join products
        on
            lines.source = products.source
            and lines.sku = products.sku

    where lines.excluded_by is null

)

select * from final
