-- What every destination should hold. The fingerprint covers everything that could be sent, so that
-- a change in any of it is an update, and nothing else is.
with

decisions as (

    select * from {{ ref('membership_decisions') }}

    where
        is_switched_on
        and decision = 'included'

),

members as (

    select * from {{ ref('audience_members') }}

),

contacts as (

    select * from {{ ref('dim_contacts') }}

),

suppressions as (

    select * from {{ ref('int_suppressions') }}

),

channels as (

    {%- for audience in var('audiences') %}
    {%- for destination in audience.destinations or [] %}

    select
        '{{ destination.to }}' as channel,
        '{{ medium_of(destination.to) }}' as medium,
        '{{ audience.name }}' as audience,
        {{ destination.fields | default([]) | length }} as field_count

    union all

    {%- endfor %}
    {%- endfor %}

    select
        cast(null as varchar) as channel,
        cast(null as varchar) as medium,
        cast(null as varchar) as audience,
        cast(null as integer) as field_count
    where false

),

payloads as (

    select
        channels.channel,
        decisions.audience,
        decisions.customer_id,
        case
            when channels.field_count = 0 then '{}'
            {%- for audience in var('audiences') %}
            {%- for destination in audience.destinations or [] if destination.fields %}
            when
                channels.channel = '{{ destination.to }}'
                and channels.audience = '{{ audience.name }}'
                then {{ only_keys('members.payload', destination.fields) }}
            {%- endfor %}
            {%- endfor %}
        end as payload

    from decisions

    inner join channels
        on
            decisions.medium = channels.medium
            and decisions.audience = channels.audience

    inner join members
        on
            decisions.audience = members.audience
            and decisions.customer_id = members.customer_id

),

final as (

    select
        payloads.channel,
        payloads.audience,
        payloads.customer_id,
        {{ md5_number('payloads.customer_id') }} as member_key,
        {{ md5_number(json_list([
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

    -- Asked last, and of the list itself: nothing before this can let anybody through.
    left join suppressions
        on payloads.customer_id = suppressions.customer_id

    where suppressions.customer_id is null

)

select * from final
