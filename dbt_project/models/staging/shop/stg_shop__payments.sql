with

orders as (

    select * from {{ ref('stg_shop__orders') }}

    where excluded_by is null

),

payments as (

    select
        source,
        order_id,
        currency as order_currency,
        payments,
        {{ each_element('payments') }} as payment

    from orders

),

columns_of_payments as (

    select
        source,
        order_id,
        order_currency,
        payment.payment_id,
        payment.kind as payment_kind,
        payment.status as payment_status,
        payment.amount,
        coalesce(payment.currency, order_currency) as currency,
        payment.paid_at,
        payment.kind = 'capture'
        and {{ any_element(
            'payments',
            "element.kind = 'sale' and element.status = 'success'"
            " and element.payment_id = payment.parent_payment_id"
        ) }} as is_of_a_sale

    from payments

),

-- An authorization moves no money, and a capture of a sale is the same money again.
final as (

    select
        source,
        order_id,
        payment_id,
        payment_kind,
        currency,
        order_currency,
        paid_at,
        case payment_kind when 'refund' then -amount else amount end as received_amount

    from columns_of_payments

    where
        payment_status = 'success'
        and payment_kind in ('sale', 'capture', 'refund')
        and not is_of_a_sale
        and coalesce(cast(paid_at as date) <= {{ as_of() }}, true)

)

select * from final
