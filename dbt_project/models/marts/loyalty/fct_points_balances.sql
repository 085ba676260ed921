with

entries as not materialized (

    select * from {{ ref('fct_points_ledger') }}

),

tiers as (

    select * from {{ ref('fct_loyalty_tiers') }}

),

balances as (

    select
        customer_id,
        sum(points) as balance,
        sum(case when entry_kind in ('earn', 'birthday') then points else 0 end) as earned_points,
        -sum(case when entry_kind = 'reverse' then points else 0 end) as reversed_points,
        -sum(case when entry_kind = 'redeem' then points else 0 end) as redeemed_points,
        -sum(case when entry_kind = 'expire' then points else 0 end) as expired_points,
        max(booked_date) as last_booked_date

    from entries

    group by customer_id

),

-- What was earned and not reversed and has not expired, by the day on which it will. It is used in
-- this order, so that what is left is of the lots that expire last.
lots as (

    select
        customer_id,
        expires_on,
        sum(points) as points,
        coalesce(
            sum(sum(points)) over (
                partition by customer_id
                order by expires_on desc
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as later_points

    from entries

    where expires_on > {{ as_of() }}

    group by customer_id, expires_on

),

remaining as (

    select
        lots.customer_id,
        lots.expires_on,
        least(lots.points, balances.balance - lots.later_points) as points

    from lots

    inner join balances
        on lots.customer_id = balances.customer_id

    where balances.balance > lots.later_points

),

next_expiries as (

    select
        customer_id,
        min(expires_on) as expires_next_on,
        arg_min(points, expires_on) as expiring_next_points,
        sum(
            case
                when
                    expires_on <= {{ add_days(as_of(), var('points_expiring_days')) }}
                    then points
                else 0
            end
        ) as expiring_soon_points,
        sum(points) as usable_points

    from remaining

    where points > 0

    group by customer_id

),

final as (

    select
        balances.customer_id,
        cast(balances.balance as bigint) as balance,
        cast(balances.earned_points as bigint) as earned_points,
        cast(balances.reversed_points as bigint) as reversed_points,
        cast(balances.redeemed_points as bigint) as redeemed_points,
        cast(balances.expired_points as bigint) as expired_points,
        cast(coalesce(next_expiries.usable_points, 0) as bigint) as usable_points,
        cast(coalesce(next_expiries.expiring_next_points, 0) as bigint) as expiring_next_points,
        next_expiries.expires_next_on,
        cast(coalesce(next_expiries.expiring_soon_points, 0) as bigint) as expiring_soon_points,
        balances.last_booked_date,
        coalesce(tiers.tier, 'none') as tier,
        tiers.next_tier,
        tiers.spend_to_next_tier

    from balances

    left join next_expiries
        on balances.customer_id = next_expiries.customer_id

    left join tiers
        on balances.customer_id = tiers.customer_id

)

select * from final
