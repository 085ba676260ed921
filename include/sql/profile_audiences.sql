-- One row per declared audience, also for one that has no model or no members.
with declared as (
    select unnest($declared_audiences::varchar[]) as subject
),

members as (
    select
        members.audience as subject,
        count(*) as member_count,
        count(*) - count(distinct members.customer_id) as duplicate_member_count,
        count(*) filter (where customers.customer_id is null) as stranger_count
    from marts.audience_members as members
    left join marts.customers as customers on members.customer_id = customers.customer_id
    group by members.audience
),

memberships as (
    select
        desired.audience as subject,
        count(*) as membership_count,
        count(*) - count(distinct (desired.channel, desired.customer_id))
            as duplicate_membership_count,
        count(*) filter (where members.customer_id is null) as membership_without_member_count,
        count(*) filter (where not case desired.channel
            when 'mailchimp' then coalesce(contacts.has_email_consent, false)
            else coalesce(contacts.has_ads_consent, false)
        end) as unconsented_count,
        count(*) filter (where contacts.suppressed_reason is not null) as suppressed_count,
        count(*) filter (where held_out.customer_id is not null) as held_out_membership_count
    from marts.desired_memberships as desired
    left join marts_private.contacts as contacts on desired.customer_id = contacts.customer_id
    left join marts.held_out as held_out
        on desired.audience = held_out.audience and desired.customer_id = held_out.customer_id
    left join (select distinct audience, customer_id from marts.audience_members) as members
        on desired.audience = members.audience and desired.customer_id = members.customer_id
    group by desired.audience
),

held_out as (
    select audience as subject, count(*) as held_out_count
    from marts.held_out
    group by audience
),

built as (
    select table_name as subject
    from information_schema.tables
    where table_schema = 'audiences'
)

select
    declared.subject,
    (built.subject is not null)::integer as is_built,
    coalesce(members.member_count, 0)::bigint as member_count,
    coalesce(members.member_count, 0) / nullif((select count(*) from marts.customers), 0)
        as member_share,
    coalesce(memberships.membership_count, 0)::bigint as membership_count,
    coalesce(held_out.held_out_count, 0)::bigint as held_out_count,
    coalesce(members.duplicate_member_count, 0)::bigint as duplicate_member_count,
    coalesce(members.stranger_count, 0)::bigint as stranger_count,
    coalesce(memberships.duplicate_membership_count, 0)::bigint as duplicate_membership_count,
    coalesce(memberships.membership_without_member_count, 0)::bigint
        as membership_without_member_count,
    coalesce(memberships.unconsented_count, 0)::bigint as unconsented_count,
    coalesce(memberships.suppressed_count, 0)::bigint as suppressed_count,
    coalesce(memberships.held_out_membership_count, 0)::bigint as held_out_membership_count
from declared
left join built using (subject)
left join members using (subject)
left join memberships using (subject)
left join held_out using (subject)
order by declared.subject
