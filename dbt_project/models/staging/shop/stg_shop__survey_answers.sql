with

source as (

    select * from {{ source('raw', 'survey_answers') }}

),

final as (

    select
        source,
        answer_id,
        customer_id,
        email_key,
        phone_key,
        nullif(trim(survey), '') as survey,
        kind,
        score,
        order_id,
        nullif(trim(sku), '') as sku,
        answered_at

    from source

    where cast(answered_at as date) <= {{ as_of() }}

)

select * from final
