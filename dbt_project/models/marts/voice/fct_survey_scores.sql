-- NPS and CSAT by month, for everybody and by segment, product and survey, each with an interval:
-- of a handful of answers a score says next to nothing.
with

answers as (

    select
        answers.kind,
        {{ month_of('answers.answered_date') }} as month,
        answers.answer_group,
        answers.score,
        answers.sku,
        answers.survey,
        coalesce(customers.rfm_segment, 'none') as rfm_segment

    from {{ ref('int_survey_answers') }} as answers

    left join {{ ref('dim_customers') }} as customers
        on answers.customer_id = customers.customer_id

),

dimensions as (

    select
        *,
        'all' as dimension,
        'all' as dimension_value
    from answers

    union all

    select
        *,
        'segment' as dimension,
        rfm_segment as dimension_value
    from answers

    union all

    select
        *,
        'product' as dimension,
        sku as dimension_value
    from answers
    where sku is not null

    union all

    select
        *,
        'survey' as dimension,
        survey as dimension_value
    from answers
    where survey is not null

),

counted as (

    select
        kind,
        month,
        dimension,
        dimension_value,
        count(*) as answers,
        count(case when answer_group in ('promoter', 'satisfied') then 1 end) as positive_answers,
        count(case when answer_group in ('detractor', 'dissatisfied') then 1 end)
            as negative_answers,
        cast(avg(score) as double) as mean_score

    from dimensions

    group by
        kind,
        month,
        dimension,
        dimension_value

),

-- What both intervals are made of: for NPS the shares with three answers added, a quarter of them
-- promoters and a quarter detractors; for CSAT Wilson's centre.
measured as (

    select
        *,
        case kind
            when 'nps' then cast(positive_answers - negative_answers as double) / answers
            else cast(positive_answers as double) / answers
        end as share,
        case kind
            when 'nps' then (positive_answers - negative_answers) / (answers + 3.0)
            else (positive_answers + power(1.96, 2) / 2) / (answers + power(1.96, 2))
        end as centre,
        case kind
            when 'nps'
                then
                    1.96 * sqrt(
                        (
                            (positive_answers + negative_answers + 1.5) / (answers + 3.0)
                            - power((positive_answers - negative_answers) / (answers + 3.0), 2)
                        ) / (answers + 3.0)
                    )
            else
                1.96 * sqrt(
                    positive_answers * cast(answers - positive_answers as double) / answers
                    + power(1.96, 2) / 4
                ) / (answers + power(1.96, 2))
        end as half_width

    from counted

),

-- Drawn to the middle, the interval of a unanimous few would miss what they said.
final as (

    select
        kind,
        month,
        dimension,
        dimension_value,
        answers,
        positive_answers,
        negative_answers,
        mean_score,
        100 * share as score,
        100 * least(share, greatest(centre - half_width, case kind when 'nps' then -1 else 0 end))
            as score_from,
        100 * greatest(share, least(centre + half_width, 1)) as score_to,
        month < {{ month_of(as_of()) }} as is_complete

    from measured

)

select * from final
