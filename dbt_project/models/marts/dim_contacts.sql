with

statements as (

    select * from {{ ref('int_person_statements') }}

    where
        told_by = 'contact'
        or email is not null
        or phone is not null

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

consents as (

    select * from {{ ref('dim_consents') }}

),

suppressions as (

    select * from {{ ref('int_suppressions') }}

),

statements_of_customers as (

    select
        statements.* exclude (customer_id),
        statements.customer_id as account_id,
        {{ resolved_customer_id('statements') }} as customer_id

    from statements

    {{ identity_joins('statements') }}

),

-- What a source keeps of its contacts counts for more than what somebody typed in at an order.
versions as (

    select
        *,
        row_number() over (
            partition by customer_id
            order by
                case when told_by = 'contact' then 1 else 0 end asc,
                told_at asc nulls first,
                source asc,
                account_id asc nulls first,
                email asc nulls first,
                phone asc nulls first,
                last_name asc nulls first,
                first_name asc nulls first
        ) as version_number

    from statements_of_customers

    where customer_id is not null

),

-- The newest statement that says anything about a field is believed.
addresses as (

    select
        customer_id,
        arg_max(email, version_number) as email,
        arg_max(phone, version_number) as phone,
        nullif(
            arg_max(
                coalesce(phone_key, ''), case when phone is not null then version_number end
            ),
            ''
        ) as phone_key,
        arg_max(first_name, version_number) as first_name,
        arg_max(last_name, version_number) as last_name,
        arg_max(country, version_number) as country,
        arg_max(language, version_number) as language,
        arg_max(birthday, version_number) as birthday

    from versions

    group by customer_id

),

permissions as (

    select
        customer_id,
        bool_or(channel = 'email' and is_granted) as has_email_consent,
        bool_or(channel = 'ads' and is_granted) as has_ads_consent,
        bool_or(channel = 'sms' and is_granted) as has_sms_consent,
        max(changed_at) as consent_at,
        arg_max(consent_source, coalesce(cast(changed_at as varchar), '') || channel)
            as consent_source

    from consents

    group by customer_id

),

people as (

    select customer_id from addresses

    union

    select customer_id from permissions

    union

    select customer_id from suppressions

),

final as (

    select
        people.customer_id,
        addresses.email,
        addresses.phone,
        addresses.phone_key,
        addresses.first_name,
        addresses.last_name,
        addresses.country,
        addresses.language,
        addresses.birthday,
        coalesce(permissions.has_email_consent, false) as has_email_consent,
        coalesce(permissions.has_ads_consent, false) as has_ads_consent,
        coalesce(permissions.has_sms_consent, false) as has_sms_consent,
        permissions.consent_at,
        permissions.consent_source,
        suppressions.suppressed_reason

    from people

    left join addresses
        on people.customer_id = addresses.customer_id

    left join permissions
        on people.customer_id = permissions.customer_id

    left join suppressions
        on people.customer_id = suppressions.customer_id

)

select * from final
