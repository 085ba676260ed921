-- Who is one customer: everybody whom an e-mail address or a telephone number joins, however many
-- steps apart. What would join too many people, or belongs to no single person, joins nobody and is
-- listed as refused. Nothing here depends on the order in which things came.
{% set most_people = var('identity_most_people') %}
{% set rounds = 2 * most_people + 2 %}

with

mentions as (

    select * from {{ ref('int_identity_mentions') }}

),

unlinkable as (

    select * from {{ ref('unlinkable_addresses') }}

),

-- Whom an address stands for: accounts, and guests, who are told apart by their telephones.
email_neighbours as (

    select distinct
        email_node,
        email_name,
        email_domain,
        platform_node,
        case when platform_node is null then phone_node end as guest_phone_node

    from mentions

    where email_node is not null

),

emails as (

    select
        email_node,
        email_name,
        email_domain,
        count(platform_node) as account_count,
        count(platform_node) < count(*) as is_guest,
        count(platform_node) + count(guest_phone_node) as people_count,
        count(platform_node)
        + greatest(count(guest_phone_node), cast(count(platform_node) < count(*) as integer))
        > 1 as is_shared

    from email_neighbours

    group by email_node, email_name, email_domain

),

judged_emails as (

    select
        emails.email_node,
        emails.account_count,
        emails.people_count,
        emails.is_shared,
        case
            when
                coalesce(domains.value, top_level_domains.value) is not null
                and (emails.is_shared or emails.is_guest)
                then 'reserved_domain'
            when
                roles.value is not null
                and emails.is_shared
                then 'role_address'
            when emails.people_count > {{ most_people }} then 'too_many_people'
        end as refused_reason

    from emails

    left join unlinkable as roles
        on
            roles.kind = 'role'
            and emails.email_name = roles.value

    left join unlinkable as domains
        on
            domains.kind = 'domain'
            and emails.email_domain = domains.value

    left join unlinkable as top_level_domains
        on
            top_level_domains.kind = 'top_level_domain'
            and {{ last_part('emails.email_domain', '.') }} = top_level_domains.value

),

-- A guest is known by the address, else by the telephone. A firm's mailbox names its own guest.
mentions_by_email as (

    select
        mentions.source,
        mentions.told_by,
        mentions.customer_id,
        mentions.platform_node,
        mentions.email_node,
        mentions.phone_node,
        mentions.first_seen_at,
        mentions.first_ordered_at,
        case when judged_emails.refused_reason is null then mentions.email_node end
            as usable_email,
        case when judged_emails.refused_reason = 'role_address' then mentions.email_node end
            as role_email,
        coalesce(judged_emails.is_shared, false) as is_email_shared,
        judged_emails.account_count as email_account_count

    from mentions

    left join judged_emails
        on mentions.email_node = judged_emails.email_node

),

phone_neighbours as (

    select distinct
        phone_node,
        platform_node,
        case when platform_node is null then usable_email end as guest_email_node

    from mentions_by_email

    where
        phone_node is not null
        and (platform_node is not null or role_email is null)

),

judged_phones as (

    select
        phone_node,
        count(platform_node) + count(guest_email_node) as people_count,
        count(*) > 1 as is_shared,
        case
            when count(platform_node) + count(guest_email_node) > {{ most_people }}
                then 'too_many_people'
        end as refused_reason

    from phone_neighbours

    group by phone_node

),

mentions_by_phone as (

    select
        mentions_by_email.*,
        case
            when
                judged_phones.refused_reason is null
                and (
                    mentions_by_email.platform_node is not null
                    or mentions_by_email.role_email is null
                )
                then mentions_by_email.phone_node
        end as usable_phone,
        coalesce(judged_phones.is_shared, false) as is_phone_shared

    from mentions_by_email

    left join judged_phones
        on mentions_by_email.phone_node = judged_phones.phone_node

),

-- Only what is shared can join anybody.
links as (

    select distinct
        'email' as link_kind,
        platform_node as person_node,
        true as is_person,
        usable_email as link_node
    from mentions_by_phone
    where
        is_email_shared
        and platform_node is not null
        and usable_email is not null

    union all

    select distinct
        'phone' as link_kind,
        coalesce(platform_node, usable_email) as person_node,
        platform_node is not null or email_account_count = 0 as is_person,
        usable_phone as link_node
    from mentions_by_phone
    where
        is_phone_shared
        and coalesce(platform_node, usable_email) is not null
        and usable_phone is not null

),

neighbours as (

    select
        link_node as node,
        count(*) as neighbour_count
    from links
    group by link_node

    union all

    select
        person_node as node,
        count(*) as neighbour_count
    from links
    group by person_node

),

-- What one person alone is known by joins nobody, and takes no part in the rounds.
ends as (

    select node

    from neighbours

    group by node

    having sum(neighbour_count) = 1

),

links_with_ends as (

    select
        links.*,
        ends.node is not null as is_end

    from links

    left join ends
        on links.link_node = ends.node

),

pairs as (

    select
        link_kind,
        person_node as node,
        is_person,
        link_node as neighbour
    from links_with_ends
    where not is_end

    union all

    select
        link_kind,
        link_node as node,
        false as is_person,
        person_node as neighbour
    from links_with_ends
    where not is_end

),

{{ connected_components('all_joined', 'pairs', rounds) }},

{{ crowds('crowds', 'pairs', 'all_joined', most_people) }},

-- Where too many are joined in several steps, telephones join nobody; where that is not enough,
-- addresses neither.
pairs_by_email as (

    select
        pairs.node,
        pairs.is_person,
        pairs.neighbour

    from pairs

    inner join all_joined
        on pairs.node = all_joined.node

    inner join crowds
        on all_joined.root = crowds.root

    where pairs.link_kind = 'email'

),

{{ connected_components('joined_by_email', 'pairs_by_email', rounds) }},

{{ crowds('crowds_by_email', 'pairs_by_email', 'joined_by_email', most_people) }},

joined_roots as (

    select
        all_joined.node,
        case
            when crowds.root is null then all_joined.root
            when crowds_by_email.root is null
                then coalesce(joined_by_email.root, all_joined.node)
            else all_joined.node
        end as root,
        crowds.people_count as crowd_count,
        crowds_by_email.people_count as crowd_by_email_count

    from all_joined

    left join crowds
        on all_joined.root = crowds.root

    left join joined_by_email
        on all_joined.node = joined_by_email.node

    left join crowds_by_email
        on joined_by_email.root = crowds_by_email.root

),

-- An end goes with its one person, unless links of its kind join nobody there.
roots as (

    select
        node,
        root,
        crowd_count,
        crowd_by_email_count
    from joined_roots

    union all

    select
        links.link_node as node,
        case
            when joined_roots.crowd_count is null
                then coalesce(joined_roots.root, links.person_node)
            when
                links.link_kind = 'email'
                and joined_roots.crowd_by_email_count is null
                then joined_roots.root
            else links.link_node
        end as root,
        joined_roots.crowd_count,
        joined_roots.crowd_by_email_count
    from links_with_ends as links
    left join joined_roots
        on links.person_node = joined_roots.node
    where links.is_end

),

refused as (

    select
        email_node as node,
        refused_reason,
        people_count
    from judged_emails
    where refused_reason is not null

    union all

    select
        phone_node as node,
        refused_reason,
        people_count
    from judged_phones
    where refused_reason is not null

    union all

    select
        links.link_node as node,
        'too_many_people' as refused_reason,
        max(
            case links.link_kind
                when 'phone' then roots.crowd_count
                else roots.crowd_by_email_count
            end
        ) as people_count
    from links
    inner join roots
        on links.link_node = roots.node
    where
        (links.link_kind = 'phone' and roots.crowd_count is not null)
        or (links.link_kind = 'email' and roots.crowd_by_email_count is not null)
    group by links.link_node

),

anchored as (

    select
        mentions_by_phone.*,
        case when refused_emails.node is null then mentions_by_phone.usable_email end as email_used,
        case when refused_phones.node is null then mentions_by_phone.usable_phone end as phone_used,
        coalesce(
            mentions_by_phone.platform_node,
            case when refused_emails.node is null then mentions_by_phone.usable_email end,
            mentions_by_phone.role_email,
            case when refused_phones.node is null then mentions_by_phone.usable_phone end
        ) as anchor

    from mentions_by_phone

    left join refused as refused_emails
        on mentions_by_phone.usable_email = refused_emails.node

    left join refused as refused_phones
        on mentions_by_phone.usable_phone = refused_phones.node

),

rooted as (

    select
        anchored.*,
        coalesce(roots.root, anchored.anchor) as root,
        coalesce(anchored.customer_id, 'guest:' || {{ hex_digits('anchored.anchor') }}) as name

    from anchored

    left join roots
        on anchored.anchor = roots.node

),

-- The account that ordered first gives its id; where there is no account, the guest seen first.
names as (

    select
        root,
        name,
        max(case when customer_id is null then 1 else 0 end) as is_guest,
        min(first_ordered_at) as first_ordered_at

    from rooted

    where anchor is not null

    group by root, name

),

ranked_names as (

    select
        root,
        name,
        row_number() over (
            partition by root order by is_guest asc, first_ordered_at asc nulls last, name asc
        ) as choice

    from names

),

identifiers as (

    select
        'platform_id' as identifier_kind,
        customer_id as identifier,
        platform_node as identifier_key,
        min(root) as root,
        min(source) as source,
        max(told_by) as linked_by,
        coalesce(
            'email:' || {{ hex_digits('min(case when is_email_shared then email_used end)') }},
            'phone:' || {{ hex_digits('min(case when is_phone_shared then phone_used end)') }}
        ) as linked_through,
        min(first_seen_at) as linked_at
    from rooted
    where platform_node is not null
    group by customer_id, platform_node

    union all

    select
        'email' as identifier_kind,
        {{ hex_digits('email_node') }} as identifier,
        email_node as identifier_key,
        min(case when email_used is not null or anchor = email_node then root end) as root,
        min(source) as source,
        max(told_by) as linked_by,
        min(customer_id) as linked_through,
        min(first_seen_at) as linked_at
    from rooted
    where email_node is not null
    group by email_node

    union all

    select
        'phone' as identifier_kind,
        {{ hex_digits('phone_node') }} as identifier,
        phone_node as identifier_key,
        min(case when phone_used is not null then root end) as root,
        min(source) as source,
        max(told_by) as linked_by,
        coalesce(
            min(customer_id), 'email:' || {{ hex_digits('min(email_used)') }}
        ) as linked_through,
        min(first_seen_at) as linked_at
    from rooted
    where phone_node is not null
    group by phone_node

),

final as (

    select
        identifiers.identifier_kind,
        identifiers.identifier,
        identifiers.identifier_key,
        ranked_names.name as customer_id,
        identifiers.source,
        identifiers.linked_by,
        case
            when identifiers.identifier != ranked_names.name then identifiers.linked_through
        end as linked_through,
        identifiers.linked_at,
        refused.node is not null as is_refused,
        refused.refused_reason,
        refused.people_count

    from identifiers

    left join ranked_names
        on
            identifiers.root = ranked_names.root
            and ranked_names.choice = 1

    left join refused
        on identifiers.identifier_key = refused.node

)

select * from final
