with

memberships as (

    select * from {{ ref('desired_memberships') }}

),

contacts as (

    select * from {{ ref('dim_contacts') }}

),

held_out as (

    select * from {{ ref('held_out') }}

),

suppressions as (

    select * from {{ ref('int_suppressions') }}

)

select
    memberships.channel,
    memberships.audience,
    memberships.customer_id

from memberships

left join contacts
    on memberships.customer_id = contacts.customer_id

left join held_out
    on
        memberships.audience = held_out.audience
        and memberships.customer_id = held_out.customer_id

left join suppressions
    on memberships.customer_id = suppressions.customer_id

where
    contacts.customer_id is null
    or contacts.suppressed_reason is not null
    or suppressions.customer_id is not null
    or held_out.customer_id is not null
    or coalesce(contacts.email, contacts.phone_key) is null
    or (memberships.channel = 'mailchimp' and not contacts.has_email_consent)
    or (memberships.channel != 'mailchimp' and not contacts.has_ads_consent)
