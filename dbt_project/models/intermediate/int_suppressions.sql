-- Nobody may write to these customers, whatever consent is told. A suppression speaks about an id,
-- an address or a telephone number, and reaches every customer who was ever seen with it: who was
-- erased does not come back under another id.
with

mentions as (

    select * from {{ ref('int_identity_mentions') }}

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

consents as (

    select * from {{ ref('dim_consents') }}

),

told as (

    select
        {{ identifier_key('platform_id', 'customer_id') }} as platform_node,
        {{ identifier_key('email', 'email_key') }} as email_node,
        cast(null as uuid) as phone_node,
        suppressed_reason as reason,
        updated_at as since,
        cast(null as varchar) as channel
    from {{ ref('stg_shop__contacts') }}
    where suppressed_reason is not null

    union all

    select
        {{ identifier_key('platform_id', 'customer_id') }} as platform_node,
        {{ identifier_key('email', 'email_key') }} as email_node,
        case when email_key is null then {{ identifier_key('phone', 'phone_key') }} end
            as phone_node,
        suppressed_reason as reason,
        changed_at as since,
        channel
    from {{ ref('stg_shop__consents') }}
    where suppressed_reason is not null

    union all

    select
        {{ identifier_key('platform_id', 'customer_id') }} as platform_node,
        {{ identifier_key('email', 'email_key') }} as email_node,
        {{ identifier_key('phone', 'phone_key') }} as phone_node,
        'erased' as reason,
        requested_at as since,
        cast(null as varchar) as channel
    from {{ ref('stg_shop__erasure_requests') }}

),

suppressed_nodes as (

    {%- for node in ['platform_node', 'email_node', 'phone_node'] %}

        select
            '{{ node }}' as node_kind,
            {{ node }} as node,
            reason,
            since,
            channel
        from told
        where {{ node }} is not null

        {%- if not loop.last %}

            union all
        {%- endif %}
    {%- endfor %}

),

suppressed_mentions as (

    {%- for node in ['platform_node', 'email_node', 'phone_node'] %}

        select
            mentions.platform_node,
            mentions.email_node,
            mentions.phone_node,
            suppressed_nodes.reason,
            suppressed_nodes.since,
            suppressed_nodes.channel
        from mentions
        inner join suppressed_nodes
            on
                mentions.{{ node }} = suppressed_nodes.node
                and suppressed_nodes.node_kind = '{{ node }}'

        {%- if not loop.last %}

            union all
        {%- endif %}
    {%- endfor %}

),

suppressed_customers as (

    select
        coalesce(by_account.customer_id, by_email.customer_id, by_phone.customer_id) as customer_id,
        suppressed_mentions.reason,
        suppressed_mentions.since,
        suppressed_mentions.channel

    from suppressed_mentions

    left join identities as by_account
        on suppressed_mentions.platform_node = by_account.identifier_key

    left join identities as by_email
        on
            suppressed_mentions.platform_node is null
            and suppressed_mentions.email_node = by_email.identifier_key

    left join identities as by_phone
        on
            suppressed_mentions.platform_node is null
            and suppressed_mentions.phone_node = by_phone.identifier_key

),

-- Only an unsubscription can be taken back, and only by a later consent to the same channel.
standing as (

    select
        suppressed_customers.customer_id,
        suppressed_customers.reason,
        suppressed_customers.since,
        case suppressed_customers.reason
            when 'erased' then 1
            when 'complained' then 2
            when 'unsubscribed' then 3
            else 4
        end as weight

    from suppressed_customers

    left join consents
        on
            suppressed_customers.customer_id = consents.customer_id
            and suppressed_customers.channel = consents.channel
            and suppressed_customers.reason = 'unsubscribed'
            and suppressed_customers.since < consents.changed_at
            and consents.is_granted

    where
        suppressed_customers.customer_id is not null
        and consents.customer_id is null

),

ranked as (

    select
        *,
        row_number() over (
            partition by customer_id order by weight asc, since asc nulls last, reason asc
        ) as choice

    from standing

),

final as (

    select
        customer_id,
        reason as suppressed_reason,
        since

    from ranked

    where choice = 1

)

select * from final
