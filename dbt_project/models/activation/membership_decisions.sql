-- Who of an audience is spoken to on which medium, and why not who is not.
with

assignments as (

    select * from {{ ref('int_audience_assignments') }}

    where
        decision is null
        or decision != 'left'

),

held_out as (

    select * from {{ ref('held_out') }}

),

shares as (

    {{ holdout_shares() }}

),

final as (

    select
        assignments.medium,
        assignments.audience,
        assignments.customer_id,
        assignments.is_switched_on,
        case
            when assignments.decision is not null then assignments.decision
            when held_out.customer_id is not null then 'held_out'
            -- An audience that goes nowhere draws no lots; these are the ones it will draw.
            when
                not assignments.is_switched_on
                and shares.holdout_percent is not null
                and {{ stable_bucket('assignments.audience', 'assignments.customer_id') }}
                < shares.holdout_percent
                then 'held_out'
            else 'included'
        end as decision,
        assignments.reason,
        assignments.let_in_date

    from assignments

    left join held_out
        on
            assignments.audience = held_out.audience
            and assignments.customer_id = held_out.customer_id

    left join shares
        on assignments.audience = shares.audience

)

select * from final
