-- A cancellation does not name the order it cancels. Walking back in time within one customer, sku
-- and unit price, every purchase takes back what later cancellations have not yet found: after a
-- purchase, with S units sold and C units cancelled so far, the number taken back is
-- S + min(0, min over the purchases so far of (C - S)), a running minimum instead of a loop.
with

lines as (

    select * from {{ ref('fct_order_lines') }}

    where
        customer_id is not null
        and unit_price is not null
        and (
            (line_kind = 'sale' and quantity > 0)
            or (line_kind = 'cancellation' and quantity < 0)
        )
        and {{ is_customer_changed() }}

),

cancelled_products as (

    select distinct
        source,
        customer_id,
        sku,
        unit_price

    from lines

    where line_kind = 'cancellation'

),

movements as (

    select
        lines.source,
        lines.customer_id,
        lines.sku,
        lines.unit_price,
        lines.order_id,
        lines.line_number,
        lines.line_kind,
        lines.net_amount,
        lines.margin_amount,
        lines.order_currency_net_amount,
        abs(lines.quantity) as quantity,
        -- The latest first; at one instant a cancellation may still take the purchase back.
        row_number() over (
            partition by lines.source, lines.customer_id, lines.sku, lines.unit_price
            order by
                lines.ordered_at desc,
                lines.line_kind asc,
                lines.order_id desc,
                lines.line_number asc
        ) as movement_number

    from lines

    inner join cancelled_products
        on
            lines.source = cancelled_products.source
            and lines.customer_id = cancelled_products.customer_id
            and lines.sku = cancelled_products.sku
            and lines.unit_price = cancelled_products.unit_price

),

running as (

    select
        *,
        sum(case when line_kind = 'cancellation' then quantity else 0 end) over so_far
            as cancelled_to,
        sum(case when line_kind = 'sale' then quantity else 0 end) over so_far as sold_to

    from movements

    window so_far as (
        partition by source, customer_id, sku, unit_price
        order by movement_number
        rows between unbounded preceding and current row
    )

),

purchases as (

    select
        *,
        sold_to + least(
            0,
            min(cancelled_to - sold_to) over (
                partition by source, customer_id, sku, unit_price
                order by movement_number
                rows between unbounded preceding and current row
            )
        ) as taken_back_to

    from running

    where line_kind = 'sale'

),

purchases_taken_back as (

    select
        *,
        coalesce(
            lag(taken_back_to) over (
                partition by source, customer_id, sku, unit_price order by movement_number
            ),
            0
        ) as taken_back_from

    from purchases

),

cancellations as (

    select
        *,
        cancelled_to - quantity as cancelled_from

    from running

    where line_kind = 'cancellation'

),

matches as (

    select
        purchases_taken_back.customer_id,
        purchases_taken_back.order_id,
        cancellations.order_id as cancellation_order_id,
        cancellations.sku,
        cancellations.net_amount,
        cancellations.margin_amount,
        cancellations.order_currency_net_amount,
        cancellations.quantity as cancelled_quantity,
        least(purchases_taken_back.taken_back_to, cancellations.cancelled_to)
        - greatest(purchases_taken_back.taken_back_from, cancellations.cancelled_from)
            as quantity

    from purchases_taken_back

    inner join cancellations
        on
            purchases_taken_back.source = cancellations.source
            and purchases_taken_back.customer_id = cancellations.customer_id
            and purchases_taken_back.sku = cancellations.sku
            and purchases_taken_back.unit_price = cancellations.unit_price
            and purchases_taken_back.taken_back_from < cancellations.cancelled_to
            and purchases_taken_back.taken_back_to > cancellations.cancelled_from

),

final as (

    select
        customer_id,
        order_id,
        cancellation_order_id,
        sku,
        cast(sum(quantity) as decimal(18, 4)) as quantity,
        cast(sum(round(-net_amount * quantity / cancelled_quantity, 4)) as decimal(18, 4))
            as refunded_amount,
        cast(sum(round(-margin_amount * quantity / cancelled_quantity, 4)) as decimal(18, 4))
            as refunded_margin_amount,
        cast(
            sum(round(-order_currency_net_amount * quantity / cancelled_quantity, 4))
            as decimal(18, 4)
        ) as order_currency_refunded_amount

    from matches

    group by 1, 2, 3, 4

)

select * from final
