-- Who is asked for an answer, at most once in so many days. Who was asked is known from the last
-- build of this very table, who answered from the answers.
with

due as (

    select
        customer_id,
        order_id

    from {{ ref('fct_customer_moments') }}

    where moment = 'post_purchase_survey'

),

answers as (

    select
        customer_id,
        max(answered_date) as answered_date

    from {{ ref('int_survey_answers') }}

    where customer_id is not null

    group by customer_id

),

previous_invitations as (

    {{ previous_build(
        has_previous_build(),
        {'customer_id': 'varchar', 'invited_date': 'date', 'order_id': 'varchar'}
    ) }}

),

former_ids as (

    {{ former_customer_ids() }}

),

-- A previous build may have been for a later day: what it asked has not been asked yet.
remembered as (

    select
        coalesce(former_ids.customer_id, previous_invitations.customer_id) as customer_id,
        max(previous_invitations.invited_date) as invited_date,
        arg_max(previous_invitations.order_id, previous_invitations.invited_date) as order_id

    from previous_invitations

    left join former_ids
        on previous_invitations.customer_id = former_ids.former_id

    where
        previous_invitations.invited_date <= {{ as_of() }}
        and previous_invitations.invited_date
        > {{ add_days(as_of(), -var('survey_every_days')) }}

    group by coalesce(former_ids.customer_id, previous_invitations.customer_id)

),

invited as (

    select
        coalesce(remembered.customer_id, due.customer_id) as customer_id,
        coalesce(remembered.invited_date, {{ as_of() }}) as invited_date,
        case when remembered.customer_id is null then due.order_id else remembered.order_id end
            as order_id,
        answers.answered_date

    from remembered

    full outer join due
        on remembered.customer_id = due.customer_id

    left join answers
        on coalesce(remembered.customer_id, due.customer_id) = answers.customer_id

    where
        remembered.customer_id is not null
        or answers.answered_date is null
        or answers.answered_date <= {{ add_days(as_of(), -var('survey_every_days')) }}

),

final as (

    select
        customer_id,
        invited_date,
        order_id,
        invited_date > {{ add_days(as_of(), -var('moment_open_days')) }}
        and coalesce(answered_date < invited_date, true) as is_open

    from invited

)

select * from final
