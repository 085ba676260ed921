with

contacts as (

    select * from {{ ref('stg_shop__contacts') }}

),

consents as (

    select * from {{ ref('stg_shop__consents') }}

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

statements as (

    {%- for channel in ['email', 'ads', 'sms'] %}

        select
            source,
            customer_id,
            email_key,
            phone_key,
            '{{ channel }}' as channel,
            case when has_{{ channel }}_consent then 'granted' else 'withdrawn' end as state,
            {{ channel }}_consent_at as changed_at,
            {{ channel }}_consent_source as consent_source,
            consent_jurisdiction as jurisdiction
        from contacts
        where has_{{ channel }}_consent is not null

        union all

    {%- endfor %}

    select
        source,
        customer_id,
        email_key,
        phone_key,
        channel,
        state,
        changed_at,
        consent_source,
        jurisdiction
    from consents

),

statements_of_customers as (

    select
        statements.source,
        statements.channel,
        statements.state,
        statements.changed_at,
        statements.consent_source,
        statements.jurisdiction,
        {{ resolved_customer_id('statements') }} as customer_id

    from statements

    {{ identity_joins('statements') }}

),

-- Of statements of one instant the one that permits less counts.
ranked as (

    select
        *,
        row_number() over (
            partition by customer_id, channel
            order by
                changed_at desc nulls last,
                state desc,
                source asc,
                consent_source asc nulls last,
                jurisdiction asc nulls last
        ) as version_number

    from statements_of_customers

    where customer_id is not null

),

final as (

    select
        customer_id,
        channel,
        state,
        state = 'granted' as is_granted,
        changed_at,
        consent_source,
        jurisdiction,
        source

    from ranked

    where version_number = 1

)

select * from final
