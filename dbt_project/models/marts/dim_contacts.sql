with

contacts as (

    select * from {{ ref('stg_shop__contacts') }}

),

versions as (

    select
        *,
        row_number() over (
            partition by customer_id order by updated_at nulls first, source
        ) as version_number

    from contacts

),

-- Several sources may speak about one customer: the newest that says anything about a field is
-- believed, but a suppression is never lifted by another source's silence.
final as (

    select
        customer_id,
        arg_max(email, version_number) as email,
        arg_max(phone, version_number) as phone,
        arg_max(first_name, version_number) as first_name,
        arg_max(last_name, version_number) as last_name,
        arg_max(country, version_number) as country,
        arg_max(language, version_number) as language,
        coalesce(arg_max(has_email_consent, version_number), false) as has_email_consent,
        coalesce(arg_max(has_ads_consent, version_number), false) as has_ads_consent,
        arg_max(consent_at, version_number) as consent_at,
        arg_max(consent_source, version_number) as consent_source,
        arg_max(suppressed_reason, version_number) as suppressed_reason

    from versions

    group by customer_id

)

select * from final
