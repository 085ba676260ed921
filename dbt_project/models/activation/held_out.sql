-- Who would have been spoken to, and is not, so that the effect can be measured. Somebody held out
-- once stays in this table, also after leaving the audience: the comparison counts everybody who
-- was assigned, from the day of the assignment.
with

assignments as (

    select * from {{ ref('int_audience_assignments') }}

    where
        is_switched_on
        and decision is null

),

customers as (

    select * from {{ ref('dim_customers') }}

),

shares as (

    {{ holdout_shares() }}

),

previously_held_out as (

    {{ previous_build(
        has_previous_build(),
        {'audience': 'varchar', 'customer_id': 'varchar', 'assigned_id': 'varchar', 'since': 'date'}
    ) }}

),

former_ids as (

    {{ former_customer_ids() }}

),

candidates as (

    select
        audience,
        customer_id,
        customer_id as assigned_id,
        {{ as_of() }} as since
    from assignments

    union all

    -- Under another id it is still the same person, so the bucket stays that of the first one.
    select
        previously_held_out.audience,
        coalesce(former_ids.customer_id, previously_held_out.customer_id) as customer_id,
        coalesce(previously_held_out.assigned_id, previously_held_out.customer_id) as assigned_id,
        previously_held_out.since
    from previously_held_out
    left join former_ids
        on previously_held_out.customer_id = former_ids.former_id

),

final as (

    select
        candidates.audience,
        candidates.customer_id,
        min(candidates.assigned_id) as assigned_id,
        least(min(candidates.since), {{ as_of() }}) as since

    from candidates

    inner join shares
        on candidates.audience = shares.audience

    -- Erased customers are forgotten here too.
    inner join customers
        on candidates.customer_id = customers.customer_id

    where
        {{ stable_bucket('candidates.audience', 'candidates.assigned_id') }}
        < shares.holdout_percent

    group by 1, 2

)

select * from final
