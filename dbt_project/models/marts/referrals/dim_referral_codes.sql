-- An id that has turned out to be somebody else's keeps its code, so that a code is good for ever.
-- In capital letters, as codes on orders are read.
with

customers as (

    select * from {{ ref('dim_customers') }}

    where order_count > 0

),

former_ids as (

    {{ former_customer_ids() }}

),

ids as (

    select
        customer_id as issued_to,
        customer_id
    from customers

    union all

    select
        former_ids.former_id as issued_to,
        former_ids.customer_id
    from former_ids
    inner join customers
        on former_ids.customer_id = customers.customer_id

),

ids_with_digits as (

    select
        *,
        {{ hmac_sha256("'referral:' || issued_to") }} as digits

    from ids

),

-- Without a secret there are no digits.
final as (

    select
        issued_to,
        customer_id,
        '{{ var("referral_code_prefix") | upper }}' || {{ code_of('digits') }} as code

    from ids_with_digits

    where digits is not null

)

select * from final
