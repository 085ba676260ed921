-- Who is satisfied, by what they do or by what they say; a detractor is not asked, however loyal.
with

customers as (

    select * from {{ ref('dim_customers') }}

    where lifecycle_stage = 'active'

),

answers as (

    select * from {{ ref('int_survey_answers') }}

    where
        kind = 'nps'
        and customer_id is not null

),

codes as (

    select * from {{ ref('dim_referral_codes') }}

    where issued_to = customer_id

),

newest_answers as (

    select
        customer_id,
        arg_max(score, cast(answered_at as varchar) || answer_id) as score

    from answers

    group by customer_id

),

final as (

    select
        customers.customer_id,
        case
            when newest_answers.score >= 9
                then concat('active, answered ', cast(newest_answers.score as integer))
            else concat('active, ', customers.order_count, ' orders')
        end as reason,
        codes.code as referral_code,
        customers.order_count

    from customers

    left join newest_answers
        on customers.customer_id = newest_answers.customer_id

    left join codes
        on customers.customer_id = codes.customer_id

    where
        newest_answers.score >= 9
        or (
            customers.order_count >= {{ var('advocate_min_orders') }}
            and coalesce(newest_answers.score, 10) > 6
        )

)

select * from final
