with

source as (

    select * from {{ source('raw', 'ad_spend') }}

),

final as (

    select
        source,
        spend_date,
        platform,
        campaign_id,
        nullif(trim(campaign_name), '') as campaign_name,
        upper(trim(currency)) as currency,
        amount,
        impressions,
        clicks

    from source

    where spend_date <= {{ as_of() }}

)

select * from final
