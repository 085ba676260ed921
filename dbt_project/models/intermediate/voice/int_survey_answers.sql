-- What customers have answered, each answer with the person it came from. A score outside of its
-- scale cannot be read, and is left out.
with

answers as (

    select * from {{ ref('stg_shop__survey_answers') }}

    where
        (kind = 'nps' and score between 0 and 10)
        or (kind = 'csat' and score between 1 and 5)

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

final as (

    select
        answers.answer_id,
        {{ resolved_customer_id('answers') }} as customer_id,
        answers.kind,
        answers.survey,
        answers.sku,
        answers.score,
        case
            when answers.kind = 'nps' and answers.score >= 9 then 'promoter'
            when answers.kind = 'nps' and answers.score > 6 then 'passive'
            when answers.kind = 'nps' then 'detractor'
            when answers.score >= 4 then 'satisfied'
            when answers.score > 2 then 'neutral'
            else 'dissatisfied'
        end as answer_group,
        answers.answered_at,
        cast(answers.answered_at as date) as answered_date

    from answers

    {{ identity_joins('answers') }}

)

select * from final
