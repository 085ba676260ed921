-- One row per published table whose key is promised: its rows, repeated keys and missing keys.
with keys as (
    select 'customers' as subject, customer_id as key, '' as second_key, '' as third_key
    from marts.customers
    union all
    select 'orders', order_id, '', '' from marts.orders
    union all
    select 'order_lines', order_id, line_number::varchar, '' from marts.order_lines
    union all
    select 'contacts', customer_id, '', '' from marts_private.contacts
    union all
    select 'audience_members', audience, customer_id, '' from marts.audience_members
    union all
    select 'desired_memberships', channel, audience, customer_id from marts.desired_memberships
    union all
    select 'membership_decisions', medium, audience, customer_id from marts.membership_decisions
    union all
    select 'held_out', audience, customer_id, '' from marts.held_out
    union all
    select 'retention_cohorts', cohort_month::varchar, months_since::varchar, ''
    from marts.retention_cohorts
    union all
    select 'monthly_kpis', month::varchar, '', '' from marts.monthly_kpis
    union all
    select 'customer_identities', identifier_kind, identifier, '' from marts.customer_identities
    union all
    select 'consents', customer_id, channel, '' from marts.consents
),

counted as (
    select
        subject,
        count(*) as rows_of_key,
        key is null or second_key is null or third_key is null as is_missing
    from keys
    group by subject, key, second_key, third_key
),

expected as (
    select unnest([
        'customers', 'orders', 'order_lines', 'contacts', 'audience_members',
        'desired_memberships', 'membership_decisions', 'held_out', 'retention_cohorts', 'monthly_kpis',
        'customer_identities', 'consents'
    ]) as subject
)

select
    expected.subject,
    coalesce(sum(counted.rows_of_key), 0)::bigint as row_count,
    coalesce(sum(counted.rows_of_key - 1) filter (where not counted.is_missing), 0)::bigint
        as duplicate_key_count,
    coalesce(sum(counted.rows_of_key) filter (where counted.is_missing), 0)::bigint
        as missing_key_count
from expected
left join counted on expected.subject = counted.subject
group by expected.subject
order by expected.subject
