-- The orders as they were seen day by day. The orders' own table knows what was taken back by
-- today; here an order keeps its worth, and counts, until the day it was taken back.
with

orders as (

    select * from {{ ref('fct_orders') }}

    where
        customer_id is not null
        and {{ is_customer_changed() }}

),

cancellations as (

    select
        order_id,
        min(ordered_date) as ordered_date

    from {{ ref('fct_order_lines') }}

    where line_kind = 'cancellation'

    group by order_id

),

takings_back as (

    select
        allocations.order_id,
        cancellations.ordered_date as taken_back_date,
        allocations.refunded_amount as amount
    from {{ ref('int_refund_allocations') }} as allocations
    inner join cancellations
        on allocations.cancellation_order_id = cancellations.order_id

    union all

    select
        refunds.order_id,
        cast(refunds.refunded_at as date) as taken_back_date,
        {{ in_reporting_currency('refunds.amount', 'orders.exchange_rate') }} as amount
    from {{ ref('stg_shop__refunds') }} as refunds
    inner join orders
        on refunds.order_id = orders.order_id
    where refunds.excluded_by is null

    union all

    select
        documents.order_id,
        documents.cancelled_date as taken_back_date,
        orders.refunded_amount as amount
    from {{ ref('stg_shop__orders') }} as documents
    inner join orders
        on documents.order_id = orders.order_id
    where documents.is_cancelled

),

later_takings_back as (

    select
        takings_back.order_id,
        orders.customer_id,
        takings_back.taken_back_date,
        takings_back.amount

    from takings_back

    inner join orders
        on
            takings_back.order_id = orders.order_id
            and takings_back.taken_back_date > orders.ordered_date

),

taken_back_by_order as (

    select
        order_id,
        max(taken_back_date) as last_taken_back_date,
        sum(amount) as amount

    from later_takings_back

    group by order_id

),

final as (

    select
        orders.customer_id,
        orders.ordered_date as movement_date,
        orders.is_counted or (orders.is_cancelled and taken_back.order_id is not null)
            as is_counted_order,
        case when orders.is_cancelled then taken_back.last_taken_back_date end as uncounted_date,
        orders.gross_amount,
        cast(orders.net_amount + coalesce(taken_back.amount, 0) as decimal(18, 4)) as net_amount
    from orders
    left join taken_back_by_order as taken_back
        on orders.order_id = taken_back.order_id

    union all

    select
        customer_id,
        taken_back_date as movement_date,
        false as is_counted_order,
        null as uncounted_date,
        0 as gross_amount,
        -amount as net_amount
    from later_takings_back

)

select * from final
