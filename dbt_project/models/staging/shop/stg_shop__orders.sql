with

source as (

    select * from {{ source('raw', 'orders') }}

),

-- A source that tells of no payments is believed.
judged as (

    select
        *,
        coalesce(
            payment_status in (
                {%- for status in var('counted_payment_statuses') -%}
                    '{{ status }}'{{ ", " if not loop.last }}
                {%- endfor -%}
            ),
            true
        ) as is_paid,
        coalesce(cast(cancelled_at as date) <= {{ as_of() }} or payment_status = 'voided', false)
            as is_cancelled

    from source

),

final as (

    select
        order_id,
        source,
        customer_id,
        email_key,
        phone_key,
        nullif(trim(email), '') as email,
        nullif(trim(phone), '') as phone,
        nullif(trim(first_name), '') as first_name,
        nullif(trim(last_name), '') as last_name,
        nullif(trim(country), '') as country,
        address_key,
        ordered_at,
        ordered_date,
        currency,
        payment_status,
        shipping_amount,
        tax_amount,
        coalesce(is_tax_included, false) as is_tax_included,
        acquisition_source,
        delivered_at,
        {{ upper_texts('discount_codes') }} as discount_codes,
        lines,
        refunds,
        payments,
        is_cancelled,
        case when is_cancelled and is_paid then cast(cancelled_at as date) end as cancelled_date,
        case
            when deleted_at is not null then 'deleted_order'
            when is_test then 'test_order'
            when {{ is_in_the_future('ordered_at', 'file_modified_at') }} then 'in_the_future'
            when ordered_date > {{ as_of() }} then 'after_as_of'
            when not is_cancelled and not is_paid then 'unpaid_order'
        end as excluded_by

    from judged

)

select * from final
