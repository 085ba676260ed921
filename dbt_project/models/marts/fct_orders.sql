with

lines as (

    select * from {{ ref('fct_order_lines') }}

),

allocations as (

    select * from {{ ref('int_refund_allocations') }}

),

-- What an allocation adds to the original order it takes off the cancellation.
moved_refunds as (

    select
        order_id,
        refunded_amount
    from allocations

    union all

    select
        cancellation_order_id as order_id,
        -refunded_amount as refunded_amount
    from allocations

),

moved_refunds_by_order as (

    select
        order_id,
        sum(refunded_amount) as refunded_amount

    from moved_refunds

    group by order_id

),

order_totals as (

    select
        order_id,
        min(source) as source,
        min(customer_id) as customer_id,
        min(ordered_at) as ordered_at,
        min(ordered_date) as ordered_date,
        max(currency) as currency,
        max(country) as country,
        count(*) as line_count,
        sum(case when line_kind = 'sale' then gross_amount else 0 end) as gross_amount,
        sum(case when line_kind = 'sale' then discount_amount else 0 end) as discount_amount,
        sum(case when line_kind = 'sale' then 0 else -net_amount end) as refunded_amount,
        bool_or(line_kind = 'sale') as has_sales

    from lines

    group by order_id

),

orders as (

    select
        order_totals.order_id,
        order_totals.source,
        order_totals.customer_id,
        order_totals.ordered_at,
        order_totals.ordered_date,
        order_totals.currency,
        order_totals.country,
        order_totals.line_count,
        order_totals.has_sales,
        cast(order_totals.gross_amount as decimal(18, 4)) as gross_amount,
        cast(order_totals.discount_amount as decimal(18, 4)) as discount_amount,
        cast(
            order_totals.refunded_amount + coalesce(moved_refunds_by_order.refunded_amount, 0)
            as decimal(18, 4)
        ) as refunded_amount

    from order_totals

    left join moved_refunds_by_order
        on order_totals.order_id = moved_refunds_by_order.order_id

),

orders_with_state as (

    select
        *,
        cast(gross_amount - discount_amount - refunded_amount as decimal(18, 4)) as net_amount,
        not has_sales as is_refund_only,
        has_sales
        and refunded_amount > 0
        and refunded_amount >= gross_amount - discount_amount as is_cancelled

    from orders

    -- A cancellation that found all its originals leaves nothing behind.
    where
        has_sales
        or refunded_amount != 0

),

final as (

    select
        order_id,
        source,
        customer_id,
        ordered_at,
        ordered_date,
        gross_amount,
        discount_amount,
        refunded_amount,
        net_amount,
        currency,
        country,
        line_count,
        not is_cancelled and not is_refund_only as is_counted,
        is_cancelled,
        is_refund_only,
        customer_id is not null
        and not is_cancelled
        and not is_refund_only
        and row_number() over (
            partition by customer_id, is_cancelled or is_refund_only
            order by ordered_at, order_id
        ) = 1 as is_first_order

    from orders_with_state

)

select * from final
