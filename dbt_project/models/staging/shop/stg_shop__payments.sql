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
        {{ each_element('payments') }} as payment

    from orders

),

columns_of_payments as (

    select
        source,
        order_id,
        order_currency,
        payment.payment_id,
        payment.parent_payment_id,
        payment.kind as payment_kind,
        payment.status as payment_status,
        payment.amount,
        coalesce(payment.currency, order_currency) as currency,
        payment.paid_at

    from payments

),

sales as (

    select
        order_id,
        payment_id

    from columns_of_payments

    where
        payment_kind = 'sale'
        and payment_status = 'success'

),

-- An authorization moves no money, and a capture of a sale is the same money again.
final as (

    select
        payments.source,
        payments.order_id,
        payments.payment_id,
        payments.payment_kind,
        payments.currency,
        payments.order_currency,
        payments.paid_at,
        case payments.payment_kind when 'refund' then -payments.amount else payments.amount end
            as received_amount

    from columns_of_payments as payments

    left join sales
        on
            payments.order_id = sales.order_id
            and payments.parent_payment_id = sales.payment_id

    where
        payments.payment_status = 'success'
        and (
            payments.payment_kind in ('sale', 'refund')
            or (payments.payment_kind = 'capture' and sales.payment_id is null)
        )
        and coalesce(cast(payments.paid_at as date) <= {{ as_of() }}, true)

)

select * from final
