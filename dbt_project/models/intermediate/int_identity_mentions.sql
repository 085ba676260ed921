-- Every set of identifiers that came together, once per source and kind of record that told it.
with

statements as (

    select * from {{ ref('int_person_statements') }}

    where coalesce(customer_id, email_key, phone_key) is not null

),

mentions as (

    select
        source,
        told_by,
        customer_id,
        email_key,
        phone_key,
        min(told_at) as first_seen_at,
        min(case when told_by = 'order' then told_at end) as first_ordered_at

    from statements

    group by source, told_by, customer_id, email_key, phone_key

),

final as (

    select
        source,
        told_by,
        customer_id,
        {{ identifier_key('platform_id', 'customer_id') }} as platform_node,
        {{ identifier_key('email', 'email_key') }} as email_node,
        {{ identifier_key('phone', 'phone_key') }} as phone_node,
        split_part(email_key, '@', 1) as email_name,
        split_part(email_key, '@', 2) as email_domain,
        first_seen_at,
        first_ordered_at

    from mentions

)

select * from final
