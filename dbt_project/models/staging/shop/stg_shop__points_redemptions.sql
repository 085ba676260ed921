with

source as (

    select * from {{ source('raw', 'points_redemptions') }}

),

final as (

    select
        source,
        redemption_id,
        customer_id,
        points,
        cast(redeemed_at as date) as redeemed_date,
        order_id

    from source

    where cast(redeemed_at as date) <= {{ as_of() }}

)

select * from final
