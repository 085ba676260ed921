-- A code that was pushed stays good in the shop, so an advocate who no longer is one is let be.
with

terms as (

    {{ referral_friend_offer() }}

),

advocates as (

    select * from {{ ref('int_advocates') }}

    where referral_code is not null

),

suppressions as (

    select * from {{ ref('int_suppressions') }}

),

final as (

    select
        {{ offer_id("'referral'", ['advocates.customer_id']) }} as offer_id,
        advocates.customer_id,
        advocates.referral_code as code,
        terms.percent,
        terms.amount,
        terms.currency,
        terms.minimum_spend

    from advocates

    cross join terms

    left join suppressions
        on advocates.customer_id = suppressions.customer_id

    where suppressions.customer_id is null

)

select * from final
