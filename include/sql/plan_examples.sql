-- Some of a plan's changes, of each verb in turn, for a person to judge by. A customer is shown by a hash of
-- the id, which `left(md5(customer_id), 12)` finds again in our own tables; the figures of a reason are
-- one person's, so they are left out.
with

numbered as (
    select
        operation,
        customer_id,
        row_number() over (partition by operation order by member_key) as nth
    from planned_changes
    where batch_number is not null
    qualify nth <= $most
),

chosen as (
    select *
    from numbered
    order by nth, array_position(['remove', 'add', 'update'], operation)
    limit $most
),

decisions as (
    select
        customer_id,
        string_agg(decision || ' (' || medium || ')', ', ' order by medium) as objections
    from membership_decisions
    where
        audience = $audience
        and decision != 'included'
        and customer_id in (select chosen.customer_id from chosen)
    group by customer_id
),

reasons as (
    select
        customer_id,
        max(regexp_replace(reason, '[0-9]+([.,:-][0-9]+)*', '#', 'g')) as reason
    from audience_members
    where
        audience = $audience
        and customer_id in (select chosen.customer_id from chosen)
    group by customer_id
)

select
    left(md5(chosen.customer_id), 12) as customer,
    chosen.operation,
    case
        when chosen.operation = 'remove'
            then coalesce(replace(decisions.objections, '_', ' '), 'left the audience')
        else coalesce(reasons.reason, 'in the audience')
    end as reason
from chosen
left join decisions on chosen.customer_id = decisions.customer_id
left join reasons on chosen.customer_id = reasons.customer_id
order by array_position(['remove', 'add', 'update'], chosen.operation), customer
