with

allocations as (

    select * from {{ ref('int_refund_allocations') }}

),

taken_back as (

    select
        order_id,
        sku,
        sum(quantity) as quantity

    from allocations

    group by 1, 2

    union all

    select
        cancellation_order_id as order_id,
        sku,
        sum(quantity) as quantity

    from allocations

    group by 1, 2

),

lines as (

    select
        order_id,
        sku,
        sum(abs(quantity)) as quantity

    from {{ ref('fct_order_lines') }}

    where order_id in (select taken_back.order_id from taken_back)

    group by 1, 2

)

select taken_back.*

from taken_back

left join lines
    on
        taken_back.order_id = lines.order_id
        and taken_back.sku = lines.sku

where
    lines.quantity is null
    or taken_back.quantity > lines.quantity
    or taken_back.quantity <= 0
