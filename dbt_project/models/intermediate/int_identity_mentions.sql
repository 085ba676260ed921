-- Every set of identifiers that came together, once per source and kind of record that told it.
with

told as (

    select
        source,
        'order' as told_by,
        customer_id,
        email_key,
        phone_key,
        ordered_at as seen_at,
        ordered_at
    from {{ ref('stg_shop__order_lines') }}

    union all

    select
        source,
        'order' as told_by,
        customer_id,
        email_key,
        phone_key,
        ordered_at as seen_at,
        ordered_at
    from {{ ref('stg_shop__orders') }}
    where excluded_by is null

    union all

    select
        source,
        'contact' as told_by,
        customer_id,
        email_key,
        phone_key,
        updated_at as seen_at,
        cast(null as timestamp) as ordered_at
    from {{ ref('stg_shop__contacts') }}

    union all

    select
        source,
        'consent' as told_by,
        customer_id,
        email_key,
        phone_key,
        changed_at as seen_at,
        cast(null as timestamp) as ordered_at
    from {{ ref('stg_shop__consents') }}

),

mentions as (

    select
        source,
        told_by,
        customer_id,
        email_key,
        phone_key,
        min(seen_at) as first_seen_at,
        min(ordered_at) as first_ordered_at

    from told

    where coalesce(customer_id, email_key, phone_key) is not null

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
