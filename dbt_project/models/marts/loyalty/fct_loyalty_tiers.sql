with

customers as (

    select * from {{ ref('int_customer_history') }}

    where order_count > 0

),

months_of_customers as (

    select
        customer_id,
        month,
        net_revenue as net_spend

    from {{ ref('int_customer_months') }}

    where month >= {{ add_months(month_of(as_of()), 1 - var('vip_spend_months')) }}

),

current_periods as (

    select * from {{ ref('int_tier_periods') }}

    where valid_to is null

),

-- Bars that the shop has set hold before anybody has reached one.
newest_bars as (

    {{ newest_tier_bars('current_periods') }}

),

spends as (

    select
        customer_id,
        sum(net_spend) as net_spend

    from months_of_customers

    group by customer_id

),

-- What is left of the spend in a tier once the months before have fallen out of the window.
remaining as (

    select
        months_of_customers.customer_id,
        months_of_customers.month,
        current_periods.level,
        sum(months_of_customers.net_spend) over (
            partition by months_of_customers.customer_id
            order by months_of_customers.month desc
            rows between unbounded preceding and current row
        ) as net_spend

    from months_of_customers

    inner join current_periods
        on months_of_customers.customer_id = current_periods.customer_id

    where current_periods.level > 0

),

outlooks as (

    select
        remaining.customer_id,
        max({{ add_months('remaining.month', var('vip_spend_months') - 1) }}) as last_keeping_month

    from remaining

    cross join newest_bars

    where
        remaining.net_spend
        > {{ var('loyalty_stay_share') }}
        * {{ bar_of_level('newest_bars.bars', 'remaining.level') }}

    group by remaining.customer_id

),

joined as (

    select
        customers.customer_id,
        newest_bars.bars,
        cast(coalesce(spends.net_spend, 0) as decimal(18, 4)) as net_spend,
        coalesce(current_periods.level, 0) as level,
        coalesce(current_periods.tier, 'none') as tier,
        current_periods.valid_from,
        -- The month end that the tier falls at, when nothing more is bought.
        case
            when current_periods.level > 0
                then {{ add_days(
                    add_months(
                        'greatest(outlooks.last_keeping_month, current_periods.last_kept_month)',
                        var('loyalty_grace_months') + 2
                    ),
                    -1
                ) }}
        end as keeps_until,
        cast(
            {{ bar_of_level('newest_bars.bars', 'coalesce(current_periods.level, 0)') }}
            as decimal(18, 4)
        ) as tier_bar,
        cast(
            {{ bar_of_level('newest_bars.bars', 'coalesce(current_periods.level, 0) + 1') }}
            as decimal(18, 4)
        ) as next_tier_bar

    from customers

    left join current_periods
        on customers.customer_id = current_periods.customer_id

    left join spends
        on customers.customer_id = spends.customer_id

    left join outlooks
        on customers.customer_id = outlooks.customer_id

    cross join newest_bars

),

final as (

    select
        customer_id,
        tier,
        case when level > 0 then valid_from end as since,
        net_spend,
        case when next_tier_bar is not null then {{ tier_of_level('level + 1') }} end as next_tier,
        next_tier_bar as next_tier_spend,
        greatest(next_tier_bar - net_spend, cast(0 as decimal(18, 4))) as spend_to_next_tier,
        keeps_until,
        level > 0
        and net_spend <= cast(
            {{ var('loyalty_stay_share') }} * tier_bar as decimal(18, 4)
        ) as is_in_grace,
        concat(
            'spent ', cast(net_spend as decimal(18, 2)), ' in {{ var("vip_spend_months") }} months',
            case
                when level > 0
                    then concat(
                        '; ', tier, ' is kept above ',
                        cast({{ var('loyalty_stay_share') }} * tier_bar as decimal(18, 2)),
                        ', until ', keeps_until, ' if nothing more is bought'
                    )
            end,
            case
                when next_tier_bar is not null
                    then concat(
                        '; ', {{ tier_of_level('level + 1') }}, ' begins above ',
                        cast(next_tier_bar as decimal(18, 2))
                    )
            end
        ) as reason

    from joined

)

select * from final
