with

source as (

    select * from {{ source('raw', 'contacts') }}

),

final as (

    select
        source,
        customer_id,
        nullif(trim(email), '') as email,
        nullif(trim(phone), '') as phone,
        nullif(trim(first_name), '') as first_name,
        nullif(trim(last_name), '') as last_name,
        nullif(trim(country), '') as country,
        nullif(trim(language), '') as language,
        has_email_consent,
        has_ads_consent,
        consent_at,
        consent_source,
        suppressed_reason,
        coalesce(updated_at, consent_at) as updated_at

    from source

)

select * from final
