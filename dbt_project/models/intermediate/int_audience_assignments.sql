-- Whom an audience may speak to on which medium: consent, suppression, a usable address, priority
-- and the frequency cap are settled here, once, so that no audience can forget them. Only the
-- holdout is still to come. Who was let in is remembered, so that nobody who is in gives way to who
-- comes after.
with

members as (

    select * from {{ ref('audience_members') }}

),

contacts as (

    select * from {{ ref('dim_contacts') }}

),

-- Who has complained is asked to buy nothing until that is settled.
detractors as (

    select customer_id from {{ ref('int_detractors') }}

    where is_detractor_open

),

declarations as (

    {%- for audience in var('audiences') | sort(attribute='priority,name') %}
    {%- set place = loop.index %}
    {%- for medium in media_of(audience) %}

    select
        '{{ medium }}' as medium,
        '{{ audience.name }}' as audience,
        {{ place }} as place,
        '{{ audience.exclusive_group or '' }}' as exclusive_group,
        {{ audience.kind != 'service' }} as is_promotional,
        {{ audience.destinations | length > 0 }} as is_switched_on

    union all

    {%- endfor %}
    {%- endfor %}

    select
        cast(null as varchar) as medium,
        cast(null as varchar) as audience,
        cast(null as integer) as place,
        cast(null as varchar) as exclusive_group,
        cast(null as boolean) as is_promotional,
        cast(null as boolean) as is_switched_on
    where false

),

caps as (

    {%- for medium, most in var('promotions_per_week').items() if most is not none %}

    select
        '{{ medium }}' as medium,
        {{ most }} as most

    union all

    {%- endfor %}

    select
        cast(null as varchar) as medium,
        cast(null as integer) as most
    where false

),

previous_build as (

    {{ previous_build(
        has_previous_build(),
        {
            'medium': 'varchar',
            'audience': 'varchar',
            'customer_id': 'varchar',
            'is_promotional': 'boolean',
            'let_in_date': 'date',
        }
    ) }}

),

former_ids as (

    {{ former_customer_ids() }}

),

-- A previous build may have been for a later day: nobody was let in after today.
let_in_before as (

    select
        previous_build.medium,
        previous_build.audience,
        coalesce(former_ids.customer_id, previous_build.customer_id) as customer_id,
        bool_or(previous_build.is_promotional) as is_promotional,
        min(previous_build.let_in_date) as let_in_date

    from previous_build

    left join former_ids
        on previous_build.customer_id = former_ids.former_id

    where previous_build.let_in_date <= {{ as_of() }}

    group by 1, 2, 3

),

-- Only who goes somewhere can take a customer from others.
first_places as (

    select
        members.customer_id,
        declarations.exclusive_group,
        min(declarations.place) as place

    from members

    inner join declarations
        on members.audience = declarations.audience

    where
        declarations.exclusive_group != ''
        and declarations.is_switched_on

    group by 1, 2

),

candidates as (

    select
        declarations.medium,
        members.audience,
        members.customer_id,
        declarations.place,
        declarations.is_promotional,
        declarations.is_switched_on,
        first_places.place as first_place,
        case
            when contacts.suppressed_reason is not null then 'suppressed'
            when
                not coalesce(
                    case declarations.medium
                        when 'email' then contacts.has_email_consent
                        else contacts.has_ads_consent
                    end,
                    false
                )
                then 'no_consent'
            when
                contacts.email is null
                and (declarations.medium = 'email' or contacts.phone_key is null)
                then 'no_address'
            when declarations.is_promotional and detractors.customer_id is not null
                then 'detractor'
            when first_places.place < declarations.place then 'outranked'
        end as decision,
        contacts.suppressed_reason,
        let_in_before.let_in_date

    from members

    inner join declarations
        on members.audience = declarations.audience

    left join contacts
        on members.customer_id = contacts.customer_id

    left join first_places
        on
            members.customer_id = first_places.customer_id
            and declarations.exclusive_group = first_places.exclusive_group

    left join detractors
        on members.customer_id = detractors.customer_id

    left join let_in_before
        on
            declarations.medium = let_in_before.medium
            and members.audience = let_in_before.audience
            and members.customer_id = let_in_before.customer_id

),

-- What the week holds already, also of audiences that the customer has left again.
budgets as (

    select
        medium,
        customer_id,
        count(*) as used

    from let_in_before

    where
        is_promotional
        and let_in_date > {{ add_days(as_of(), -7) }}

    group by 1, 2

),

-- Who is new waits for the audiences before it.
arrivals as (

    select
        candidates.medium,
        candidates.audience,
        candidates.customer_id,
        caps.most,
        coalesce(budgets.used, 0)
        + count(case when candidates.is_switched_on then 1 end) over (
            partition by candidates.medium, candidates.customer_id
            order by candidates.place
            rows between unbounded preceding and 1 preceding
        ) as used

    from candidates

    inner join caps
        on candidates.medium = caps.medium

    left join budgets
        on
            candidates.medium = budgets.medium
            and candidates.customer_id = budgets.customer_id

    where
        candidates.is_promotional
        and candidates.decision is null
        and candidates.let_in_date is null

),

capped as (

    select
        medium,
        audience,
        customer_id,
        most

    from arrivals

    where used >= most

),

judged as (

    select
        candidates.medium,
        candidates.audience,
        candidates.customer_id,
        candidates.is_promotional,
        candidates.is_switched_on,
        case
            when capped.customer_id is null then candidates.decision
            else 'capped'
        end as decision,
        case
            when candidates.decision = 'suppressed' then candidates.suppressed_reason
            when candidates.decision = 'outranked' then winners.audience
            when capped.customer_id is not null
                then concat(capped.most, ' promotions a week are enough')
        end as reason,
        candidates.let_in_date

    from candidates

    left join capped
        on
            candidates.medium = capped.medium
            and candidates.audience = capped.audience
            and candidates.customer_id = capped.customer_id

    left join declarations as winners
        on
            candidates.decision = 'outranked'
            and candidates.first_place = winners.place
            and candidates.medium = winners.medium

),

final as (

    select
        medium,
        audience,
        customer_id,
        is_promotional,
        is_switched_on,
        decision,
        reason,
        case
            when is_switched_on and decision is null then coalesce(let_in_date, {{ as_of() }})
            when is_promotional and let_in_date > {{ add_days(as_of(), -7) }} then let_in_date
        end as let_in_date
    from judged

    union all

    select
        let_in_before.medium,
        let_in_before.audience,
        let_in_before.customer_id,
        let_in_before.is_promotional,
        false as is_switched_on,
        'left' as decision,
        null as reason,
        let_in_before.let_in_date
    from let_in_before
    left join judged
        on
            let_in_before.medium = judged.medium
            and let_in_before.audience = judged.audience
            and let_in_before.customer_id = judged.customer_id
    where
        judged.customer_id is null
        and let_in_before.is_promotional
        and let_in_before.let_in_date > {{ add_days(as_of(), -7) }}

)

select * from final
