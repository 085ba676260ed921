-- Whatever the as-of day: who is erased is erased on every day.
with

source as (

    select * from {{ source('raw', 'erasure_requests') }}

),

final as (

    select
        source,
        request_id,
        customer_id,
        email_key,
        phone_key,
        requested_at

    from source

)

select * from final
