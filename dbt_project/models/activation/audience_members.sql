-- Every audience in one table. An audience may have any columns beside customer_id: they travel as
-- JSON, so that one table holds them all.
with

members as (

    {%- for audience in var('audiences') %}

    select
        '{{ audience.name }}' as audience,
        customer_id,
        {{ row_as_json('audience') }} as member
    from {{ ref(audience.name) }} as audience

    union all

    {%- endfor %}

    select
        cast(null as varchar) as audience,
        cast(null as varchar) as customer_id,
        cast(null as json) as member
    where false

),

previous_members as (

    {{ previous_build(
        has_previous_build(),
        {'audience': 'varchar', 'customer_id': 'varchar', 'entered_at': 'timestamp'}
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
        min(previous_members.entered_at) as entered_at

    from previous_members

    left join former_ids
        on previous_members.customer_id = former_ids.former_id

    group by 1, 2

),

final as (

    select
        members.audience,
        members.customer_id,
        -- A previous build may have been for a later day: nobody entered after today.
        least(previous.entered_at, cast({{ as_of() }} as timestamp)) as entered_at,
        {{ json_text('members.member', 'reason') }} as reason,
        {{ without_keys('members.member', ['customer_id', 'reason']) }} as payload

    from members

    left join previous_members_by_customer as previous
        on
            members.audience = previous.audience
            and members.customer_id = previous.customer_id

)

select * from final
