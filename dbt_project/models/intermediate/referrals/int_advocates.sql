-- Who is satisfied, by what they do or by what they say; a detractor is not asked, however loyal.
with

customers as (

    select * from {{ ref('dim_customers') }}

    where lifecycle_stage = 'active'

),

answers as (

    select * from {{ ref('stg_shop__survey_answers') }}

    where kind = 'nps'

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

codes as (

    select * from {{ ref('dim_referral_codes') }}

    where issued_to = customer_id

),

answers_of_customers as (

    select
        answers.answer_id,
        answers.answered_at,
        answers.score,
        {{ resolved_customer_id('answers') }} as customer_id

    from answers

    {{ identity_joins('answers') }}

),

newest_answers as (

    select
        customer_id,
        arg_max(score, cast(answered_at as varchar) || answer_id) as score

    from answers_of_customers

    where customer_id is not null

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
