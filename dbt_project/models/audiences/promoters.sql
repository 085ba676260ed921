-- The latest answer counts: whoever has stopped recommending the shop is not asked to.
select
    answers.customer_id,
    concat('would recommend the shop: ', answers.score, ' of 10') as reason,
    answers.answered_date as nps_date

from {{ ref('int_survey_answers') }} as answers

left join {{ ref('int_detractors') }} as detractors
    on
        answers.customer_id = detractors.customer_id
        and detractors.is_detractor_open

where
    answers.customer_id is not null
    and answers.kind = 'nps'
    and answers.answered_date > {{ add_days(as_of(), -var('promoter_days')) }}
    and detractors.customer_id is null

qualify
    row_number() over (
        partition by answers.customer_id order by answers.answered_at desc, answers.answer_id asc
    ) = 1
    and answers.answer_group = 'promoter'
