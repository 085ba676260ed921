-- A view: the lines are written once, with those that do not count.
with

lines as (

    select * from {{ ref('int_order_lines') }}

    where excluded_by is null

),

final as (

    select
        order_id,
        line_number,
        source,
        customer_id,
        ordered_at,
        ordered_date,
        line_kind,
        sku,
        product_name,
        category,
        quantity,
        unit_price,
        gross_amount,
        discount_amount,
        cast(gross_amount - discount_amount as decimal(18, 4)) as net_amount,
        {{ reporting_currency('order_currency') }} as currency,
        margin_amount,
        order_currency_net_amount,
        order_currency,
        exchange_rate,
        country

    from lines

)

select * from final
