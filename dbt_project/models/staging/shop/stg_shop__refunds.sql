with

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

-- Only of orders with a refund: a join of all lines would hold every line there is.
lines as (

    select * from {{ ref('stg_shop__document_lines') }}

    where
        order_id in (
            select orders.order_id
            from orders
            where len(orders.refunds) > 0
        )

),

refunds as (

    select
        source,
        order_id,
        is_tax_included,
        is_cancelled,
        excluded_by as order_excluded_by,
        coalesce(len(lines), 0) > 0 as has_lines,
        {{ each_element('refunds') }} as refund

    from orders

),

refunds_of_orders as (

    select
        source,
        order_id,
        is_cancelled,
        order_excluded_by,
        has_lines,
        refund.refund_id,
        refund.line_id,
        refund.kind as refund_kind,
        refund.quantity,
        refund.refunded_at,
        cast(
            refund.amount
            - case when is_tax_included then coalesce(refund.tax_amount, 0) else 0 end
            as decimal(18, 4)
        ) as amount

    from refunds

),

final as (

    select
        refunds_of_orders.source,
        refunds_of_orders.order_id,
        refunds_of_orders.refund_id,
        refunds_of_orders.line_id,
        refunds_of_orders.refund_kind,
        lines.sku,
        lines.product_name,
        lines.category,
        lines.unit_price,
        refunds_of_orders.quantity,
        refunds_of_orders.amount,
        refunds_of_orders.refunded_at,
        case
            when refunds_of_orders.order_excluded_by is not null
                then refunds_of_orders.order_excluded_by
            when cast(refunds_of_orders.refunded_at as date) > {{ as_of() }} then 'after_as_of'
            when not refunds_of_orders.has_lines then 'orphan_refund'
            when refunds_of_orders.is_cancelled then 'refund_of_cancelled_order'
            when refunds_of_orders.refund_kind = 'shipping' then 'shipping_refund'
            when lines.excluded_by is not null then lines.excluded_by
        end as excluded_by

    from refunds_of_orders

    left join lines
        on
            refunds_of_orders.order_id = lines.order_id
            and refunds_of_orders.line_id = lines.line_id

)

select * from final
