-- Whatever the as-of day: a withdrawal must not wait for it.
with

source as (

    select * from {{ source('raw', 'consents') }}

),

final as (

    select
        source,
        consent_id,
        customer_id,
        email_key,
        phone_key,
        nullif(trim(email), '') as email,
        nullif(trim(phone), '') as phone,
        channel,
        state,
        changed_at,
        consent_source,
        jurisdiction,
        suppressed_reason

    from source

)

select * from final
