-- What every destination should hold. The fingerprint covers everything that could be sent, so that
-- a change in any of it is an update, and nothing else is.
with

held_out as (

    select * from {{ ref('held_out') }}

),

contacts as (

    select * from {{ ref('dim_contacts') }}

),

suppressions as (

    select * from {{ ref('int_suppressions') }}

),

payloads as (

    {%- for audience in var('audiences') %}
    {%- for destination in audience.destinations %}

    select
        channel,
        audience,
        customer_id,
        {{ only_keys('payload', destination.fields or []) }} as payload
    from {{ ref('int_audience_assignments') }}
    where
        channel = '{{ destination.to }}'
        and audience = '{{ audience.name }}'

    union all

    {%- endfor %}
    {%- endfor %}

    select
        cast(null as varchar) as channel,
        cast(null as varchar) as audience,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as payload
    where false

),

final as (

    select
        payloads.channel,
        payloads.audience,
        payloads.customer_id,
        {{ md5_uuid('payloads.customer_id') }} as member_key,
        {{ md5_uuid(json_list([
            'contacts.email',
            'contacts.phone_key',
            'contacts.first_name',
            'contacts.last_name',
            'contacts.country',
            'contacts.language',
            'payloads.payload',
        ])) }} as fingerprint,
        payloads.payload

    from payloads

    inner join contacts
        on payloads.customer_id = contacts.customer_id

    left join held_out
        on
            payloads.audience = held_out.audience
            and payloads.customer_id = held_out.customer_id

    -- Asked last, and of the list itself: nothing before this can let anybody through.
    left join suppressions
        on payloads.customer_id = suppressions.customer_id

    where
        held_out.customer_id is null
        and suppressions.customer_id is null

)

select * from final
