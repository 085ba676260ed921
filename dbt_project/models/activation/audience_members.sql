-- Every audience in one table. An audience may have any columns beside customer_id: they travel as
-- JSON, so that one table holds them all.
{% set offer_id_of_previous = json_text('previous_members.payload', 'coupon_code')
    if var('audiences') | selectattr('offer') | list else 'cast(null as varchar)' %}

with

members as (

    {%- for audience in var('audiences') %}

    select
        '{{ audience.name }}' as audience,
        customer_id,
        {{ row_as_json('audience') }} as member,
        {% if audience.offer %}'{{ audience.offer.name }}'{% else %}cast(null as varchar){% endif %} as offer_name
    from {{ ref(audience.name) }} as audience

    union all

    {%- endfor %}

    select
        cast(null as varchar) as audience,
        cast(null as varchar) as customer_id,
        cast(null as json) as member,
        cast(null as varchar) as offer_name
    where false

),

previous_members as (

    {{ previous_build(
        has_previous_build(),
        {
            'audience': 'varchar',
            'customer_id': 'varchar',
            'entered_at': 'timestamp',
            'payload': 'varchar'
        }
    ) }}

),

former_ids as (

    {{ former_customer_ids() }}

),

-- Who became one customer has been in since the first of them entered.
previous_members_by_customer as (

    select
        previous_members.audience,
        coalesce(former_ids.customer_id, previous_members.customer_id) as customer_id,
        min(previous_members.entered_at) as entered_at,
        min({{ offer_id_of_previous }}) as offer_id

    from previous_members

    left join former_ids
        on previous_members.customer_id = former_ids.former_id

    group by 1, 2

),

members_since as (

    select
        members.audience,
        members.customer_id,
        -- A previous build may have been for a later day: nobody entered after today.
        least(previous.entered_at, cast({{ as_of() }} as timestamp)) as entered_at,
        {{ json_text('members.member', 'reason') }} as reason,
        {{ without_keys('members.member', ['customer_id', 'reason']) }} as payload,
        members.offer_name,
        case
            when members.offer_name is not null
                then {{ offer_id('members.offer_name', [
                    'members.audience',
                    'members.customer_id',
                    'least(previous.entered_at, cast(' ~ as_of() ~ ' as timestamp))',
                ]) }}
        end as entry_offer_id,
        case
            when starts_with(previous.offer_id, members.offer_name || ':') then previous.offer_id
        end as offer_id

    from members

    left join previous_members_by_customer as previous
        on
            members.audience = previous.audience
            and members.customer_id = previous.customer_id

),

-- Whoever stays keeps the offer of the entry. Its code is a secret: until it is sent, the offer's
-- id stands in its place.
final as (

    select
        audience,
        customer_id,
        entered_at,
        reason,
        case
            when offer_name is null then payload
            else {{ with_key('payload', 'coupon_code', 'coalesce(offer_id, entry_offer_id)') }}
        end as payload

    from members_since

)

select * from final
