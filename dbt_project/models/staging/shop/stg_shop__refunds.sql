with

orders as (

    select * from {{ ref('stg_shop__orders') }}

    where len(refunds) > 0

),

-- Only of orders with a refund: a join of all lines would hold every line there is.
lines as (

    select * from {{ ref('stg_shop__document_lines') }}

    where
        order_id in (
            select orders_with_refunds.order_id
            from {{ ref('stg_shop__orders') }} as orders_with_refunds
            where len(orders_with_refunds.refunds) > 0
        )

),

refunds as (

    select
        source,
        order_id,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        currency,
        country,
        is_tax_included,
        is_cancelled,
        excluded_by as order_excluded_by,
        coalesce(len(lines), 0) as line_count,
        {{ element_number('refunds') }} as refund_number,
        {{ each_element('refunds') }} as refund

    from orders

),

refunds_of_orders as (

    select
        source,
        order_id,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        currency,
        country,
        is_cancelled,
        order_excluded_by,
        line_count,
        refund_number,
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
        refunds_of_orders.customer_id,
        refunds_of_orders.email_key,
        refunds_of_orders.phone_key,
        refunds_of_orders.ordered_at,
        refunds_of_orders.ordered_date,
        refunds_of_orders.currency,
        refunds_of_orders.country,
        refunds_of_orders.refund_id,
        -- A cancelled order's lines come once more, as their own taking back.
        refunds_of_orders.line_count
        * case when refunds_of_orders.is_cancelled then 2 else 1 end
        + refunds_of_orders.refund_number as line_number,
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
            when refunds_of_orders.line_count = 0 then 'orphan_refund'
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
