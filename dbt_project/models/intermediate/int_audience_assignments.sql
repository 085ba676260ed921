-- Whom an audience may speak to on which channel: consent, suppression, a usable address and
-- priority are settled here, once, so that no audience can forget them. Only the holdout is still
-- to come.
with

members as (

    select * from {{ ref('audience_members') }}

),

contacts as (

    select * from {{ ref('dim_contacts') }}

),

declarations as (

    {%- for audience in var('audiences') %}
    {%- for destination in audience.destinations %}

    select
        '{{ destination.to }}' as channel,
        {{ destination.to in var('email_destinations') }} as is_email,
        '{{ audience.name }}' as audience,
        {{ audience.priority }} as priority,
        '{{ audience.exclusive_group or audience.name }}' as exclusive_group

    union all

    {%- endfor %}
    {%- endfor %}

    select
        cast(null as varchar) as channel,
        cast(null as boolean) as is_email,
        cast(null as varchar) as audience,
        cast(null as integer) as priority,
        cast(null as varchar) as exclusive_group
    where false

),

audiences as (

    select distinct
        audience,
        priority,
        exclusive_group

    from declarations

),

ranked_members as (

    select
        members.audience,
        members.customer_id,
        members.payload,
        rank() over (
            partition by members.customer_id, audiences.exclusive_group
            order by audiences.priority, members.audience
        ) as group_rank

    from members

    inner join audiences
        on members.audience = audiences.audience

),

final as (

    select
        declarations.channel,
        ranked_members.audience,
        ranked_members.customer_id,
        ranked_members.payload

    from ranked_members

    inner join declarations
        on ranked_members.audience = declarations.audience

    inner join contacts
        on ranked_members.customer_id = contacts.customer_id

    where
        ranked_members.group_rank = 1
        and contacts.suppressed_reason is null
        and case
            when declarations.is_email
                then contacts.has_email_consent and contacts.email is not null
            else
                contacts.has_ads_consent
                and (contacts.email is not null or contacts.phone_key is not null)
        end

)

select * from final
