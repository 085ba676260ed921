with

{{ touched_orders() }}

lines as (

    select * from {{ ref('fct_order_lines') }}

    {{ where_touched() }}

),

allocations as (

    select * from {{ ref('int_refund_allocations') }}

),

documents as (

    select * from {{ ref('stg_shop__orders') }}

    {{ where_touched() }}

),

payments as (

    select * from {{ ref('stg_shop__payments') }}

    {{ where_touched() }}

),

refunds as (

    select * from {{ ref('stg_shop__refunds') }}

    {{ where_touched() }}

),

-- What an allocation adds to the original order it takes off the cancellation.
moved_refunds as (

    select
        order_id,
        refunded_amount,
        refunded_margin_amount,
        order_currency_refunded_amount
    from allocations

    union all

    select
        cancellation_order_id as order_id,
        -refunded_amount as refunded_amount,
        -refunded_margin_amount as refunded_margin_amount,
        -order_currency_refunded_amount as order_currency_refunded_amount
    from allocations

),

moved_refunds_by_order as (

    select
        order_id,
        sum(refunded_amount) as refunded_amount,
        sum(refunded_margin_amount) as refunded_margin_amount,
        sum(order_currency_refunded_amount) as order_currency_refunded_amount

    from moved_refunds

    group by order_id

),

order_totals as (

    select
        order_id,
        any_value(source) as source,
        min(customer_id) as customer_id,
        min(ordered_at) as ordered_at,
        min(ordered_date) as ordered_date,
        max(order_currency) as order_currency,
        {{ exchange_rate('max(exchange_rate)') }} as exchange_rate,
        max(country) as country,
        count(*) as line_count,
        sum(case when line_kind = 'sale' then gross_amount else 0 end) as gross_amount,
        sum(case when line_kind = 'sale' then discount_amount else 0 end) as discount_amount,
        sum(case when line_kind = 'sale' then 0 else -net_amount end) as refunded_amount,
        sum(order_currency_net_amount) as order_currency_net_amount,
        sum(case when line_kind = 'sale' then 0 else -order_currency_net_amount end)
            as order_currency_refunded_amount,
        -- One line of unknown cost makes the order's margin unknown.
        case when count(margin_amount) = count(*) then sum(margin_amount) end as margin_amount,
        bool_or(line_kind = 'sale') as has_sales

    from lines

    group by order_id

),

payments_by_order as (

    select
        order_id,
        cast(sum(received_amount) as decimal(18, 4)) as paid_amount,
        bool_and(currency = order_currency) as is_in_order_currency

    from payments

    group by order_id

),

shipping_refunds as (

    select
        order_id,
        cast(sum(amount) as decimal(18, 4)) as shipping_refunded_amount

    from refunds

    where
        refund_kind = 'shipping'
        and excluded_by = 'shipping_refund'

    group by order_id

),

-- What documents alone tell of an order as a whole, in the order's currency.
documents_with_payments as (

    select
        documents.order_id,
        documents.payment_status,
        documents.tax_amount,
        documents.shipping_amount,
        coalesce(shipping_refunds.shipping_refunded_amount, 0) as shipping_refunded_amount,
        case
            when payments_by_order.order_id is not null
                then
                    case
                        when payments_by_order.is_in_order_currency
                            then payments_by_order.paid_amount
                    end
            when documents.payments is not null then 0
        end as paid_amount

    from documents

    left join payments_by_order
        on documents.order_id = payments_by_order.order_id

    left join shipping_refunds
        on documents.order_id = shipping_refunds.order_id

),

orders as (

    select
        order_totals.order_id,
        order_totals.source,
        order_totals.customer_id,
        order_totals.ordered_at,
        order_totals.ordered_date,
        {{ reporting_currency('order_totals.order_currency') }} as currency,
        order_totals.order_currency,
        order_totals.exchange_rate,
        order_totals.country,
        order_totals.line_count,
        order_totals.has_sales,
        documents.payment_status,
        cast(order_totals.gross_amount as decimal(18, 4)) as gross_amount,
        cast(order_totals.discount_amount as decimal(18, 4)) as discount_amount,
        cast(
            order_totals.refunded_amount + coalesce(moved_refunds_by_order.refunded_amount, 0)
            as decimal(18, 4)
        ) as refunded_amount,
        cast(
            order_totals.order_currency_net_amount
            - coalesce(moved_refunds_by_order.order_currency_refunded_amount, 0)
            as decimal(18, 4)
        ) as order_currency_net_amount,
        cast(
            order_totals.order_currency_refunded_amount
            + coalesce(moved_refunds_by_order.order_currency_refunded_amount, 0)
            as decimal(18, 4)
        ) as order_currency_refunded_amount,
        cast(
            order_totals.margin_amount - coalesce(moved_refunds_by_order.refunded_margin_amount, 0)
            as decimal(18, 4)
        ) as margin_amount,
        {{ in_reporting_currency('documents.tax_amount', 'order_totals.exchange_rate') }}
            as tax_amount,
        {{ in_reporting_currency('documents.shipping_amount', 'order_totals.exchange_rate') }}
            as shipping_amount,
        {{ in_reporting_currency(
            'documents.shipping_refunded_amount', 'order_totals.exchange_rate'
        ) }} as shipping_refunded_amount,
        {{ in_reporting_currency('documents.paid_amount', 'order_totals.exchange_rate') }}
            as paid_amount

    from order_totals

    left join moved_refunds_by_order
        on order_totals.order_id = moved_refunds_by_order.order_id

    left join documents_with_payments as documents
        on order_totals.order_id = documents.order_id

),

-- Whether all was given back is asked in the order's own currency: rates move between the days.
orders_with_state as (

    select
        *,
        cast(gross_amount - discount_amount - refunded_amount as decimal(18, 4)) as net_amount,
        not has_sales as is_refund_only,
        has_sales
        and order_currency_refunded_amount > 0
        and order_currency_net_amount <= 0 as is_cancelled,
        has_sales
        and order_currency_net_amount < 0 as is_over_refunded

    from orders

    -- A cancellation that found all its originals leaves nothing behind.
    where
        has_sales
        or refunded_amount != 0

),

-- Two small groupings instead of a sort of all orders.
first_instants as (

    select
        customer_id,
        min(ordered_at) as ordered_at

    from orders_with_state

    where
        customer_id is not null
        and not is_cancelled
        and not is_refund_only

    group by customer_id

),

first_orders as (

    select
        orders_with_state.customer_id,
        min(orders_with_state.order_id) as order_id

    from orders_with_state

    inner join first_instants
        on
            orders_with_state.customer_id = first_instants.customer_id
            and orders_with_state.ordered_at = first_instants.ordered_at

    where
        not orders_with_state.is_cancelled
        and not orders_with_state.is_refund_only

    group by orders_with_state.customer_id

),

final as (

    select
        orders.order_id,
        orders.source,
        orders.customer_id,
        orders.ordered_at,
        orders.ordered_date,
        orders.gross_amount,
        orders.discount_amount,
        orders.refunded_amount,
        orders.net_amount,
        orders.margin_amount,
        orders.tax_amount,
        orders.shipping_amount,
        orders.shipping_refunded_amount,
        orders.paid_amount,
        orders.currency,
        orders.order_currency_refunded_amount,
        orders.order_currency_net_amount,
        orders.order_currency,
        orders.exchange_rate,
        orders.country,
        orders.line_count,
        orders.payment_status,
        not orders.is_cancelled and not orders.is_refund_only as is_counted,
        orders.is_cancelled,
        orders.is_refund_only,
        orders.is_over_refunded,
        first_orders.order_id is not null as is_first_order

    from orders_with_state as orders

    left join first_orders
        on orders.order_id = first_orders.order_id

)

select * from final
