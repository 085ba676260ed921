-- Who is unhappy and has not been won over: nothing is sold to them meanwhile. A later answer that
-- is no complaint settles it, and so does an order some time after: who buys again has forgiven.
with

answers as (

    select
        customer_id,
        max(case when answer_group in ('detractor', 'dissatisfied') then answered_at end)
            as complained_at,
        max(case when answer_group not in ('detractor', 'dissatisfied') then answered_at end)
            as content_at

    from {{ ref('int_survey_answers') }}

    where customer_id is not null

    group by customer_id

),

complaints as (

    select
        customer_id,
        content_at > complained_at as has_later_answer,
        cast(complained_at as date) as since_date

    from answers

    where complained_at is not null

),

judged as (

    select
        complaints.customer_id,
        complaints.since_date,
        case
            when complaints.has_later_answer then 'later_answer'
            when
                history.last_order_date
                > {{ add_days('complaints.since_date', var('detractor_order_days')) }}
                then 'later_order'
        end as resolved_by

    from complaints

    left join {{ ref('int_customer_history') }} as history
        on complaints.customer_id = history.customer_id

),

final as (

    select
        customer_id,
        since_date,
        resolved_by,
        resolved_by is null as is_detractor_open

    from judged

)

select * from final
