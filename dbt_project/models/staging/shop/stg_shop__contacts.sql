with

source as (

    select * from {{ source('raw', 'contacts') }}

),

-- Who deleted an account has taken the address and the consents away, but no suppression.
final as (

    select
        source,
        customer_id,
        email_key,
        phone_key,
        case when deleted_at is null then nullif(trim(email), '') end as email,
        case when deleted_at is null then nullif(trim(phone), '') end as phone,
        case when deleted_at is null then nullif(trim(first_name), '') end as first_name,
        case when deleted_at is null then nullif(trim(last_name), '') end as last_name,
        nullif(trim(country), '') as country,
        nullif(trim(language), '') as language,
        case when deleted_at is null then has_email_consent end as has_email_consent,
        coalesce(email_consent_at, consent_at, updated_at) as email_consent_at,
        coalesce(email_consent_source, consent_source) as email_consent_source,
        case when deleted_at is null then has_ads_consent end as has_ads_consent,
        coalesce(ads_consent_at, consent_at, updated_at) as ads_consent_at,
        coalesce(ads_consent_source, consent_source) as ads_consent_source,
        case when deleted_at is null then has_sms_consent end as has_sms_consent,
        coalesce(sms_consent_at, consent_at, updated_at) as sms_consent_at,
        coalesce(sms_consent_source, consent_source) as sms_consent_source,
        consent_jurisdiction,
        suppressed_reason,
        case when deleted_at is null then birthday end as birthday,
        coalesce(updated_at, consent_at) as updated_at

    from source

)

select * from final
