-- Everybody's tiers, month end after month end, from the orders alone, so that every rebuild tells
-- the same. A month says which level the spend enters and which it still keeps; a level is kept for
-- as long as one of the last months, the grace, kept it. Somebody is in a level if entering it is
-- more recent than losing it: for each level a comparison of two running maxima, instead of a loop.
with

orders as (

    select * from {{ ref('fct_orders') }}

    where customer_id is not null

),

months_of_customers as (

    select
        customer_id,
        {{ month_of('ordered_date') }} as month,
        sum(net_amount) as net_spend

    from orders

    group by customer_id, {{ month_of('ordered_date') }}

),

first_months as (

    select
        customer_id,
        min(month) as first_month

    from months_of_customers

    group by customer_id

),

-- Only a month that is over is decided.
months as (

    {{ months_from_to(
        '(select min(first_month) from first_months)',
        add_months(month_of(add_days(as_of(), 1)), -1)
    ) }}

),

spends as (

    select
        first_months.customer_id,
        months.month,
        sum(coalesce(months_of_customers.net_spend, 0)) over (
            partition by first_months.customer_id
            order by months.month
            rows between {{ var('vip_spend_months') - 1 }} preceding and current row
        ) as net_spend

    from first_months

    inner join months
        on first_months.first_month <= months.month

    left join months_of_customers
        on
            first_months.customer_id = months_of_customers.customer_id
            and months.month = months_of_customers.month

),

bars_of_months as (

    select
        month,
        {{ tier_bars('net_spend') }} as bars

    from spends

    group by month

),

levels as (

    select
        spends.customer_id,
        spends.month,
        bars_of_months.bars,
        {{ tier_level('spends.net_spend', 'bars_of_months.bars') }} as entered_level,
        {{ tier_level('spends.net_spend', 'bars_of_months.bars', var('loyalty_stay_share')) }}
            as kept_level

    from spends

    inner join bars_of_months
        on spends.month = bars_of_months.month

),

members as (

    select distinct customer_id from levels

    where entered_level > 0

),

with_grace as (

    select
        levels.*,
        max(levels.kept_level) over (
            partition by levels.customer_id
            order by levels.month
            rows between {{ var('loyalty_grace_months') }} preceding and current row
        ) as spared_level

    from levels

    inner join members
        on levels.customer_id = members.customer_id

),

decided as (

    select
        customer_id,
        month,
        bars,
        kept_level,
        {{ level_held('so_far') }} as level

    from with_grace

    window so_far as (
        partition by customer_id
        order by month
        rows between unbounded preceding and current row
    )

),

changes as (

    select
        *,
        level != coalesce(lag(level) over (partition by customer_id order by month), -1)
            as is_change

    from decided

),

numbered as (

    select
        *,
        sum(cast(is_change as integer)) over (
            partition by customer_id
            order by month
            rows between unbounded preceding and current row
        ) as period_number

    from changes

),

periods as (

    select
        customer_id,
        period_number,
        min(level) as level,
        {{ add_months('min(month)', 1) }} as valid_from,
        max(case when kept_level >= level then month end) as last_kept_month,
        arg_max(bars, month) as bars

    from numbered

    group by customer_id, period_number

),

final as (

    select
        customer_id,
        {{ tier_of_level('level') }} as tier,
        level,
        valid_from,
        lead(valid_from) over (partition by customer_id order by period_number) as valid_to,
        last_kept_month,
        bars

    from periods

)

select * from final
