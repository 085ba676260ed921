-- Everybody's tiers, month end after month end, from the orders alone, so that every rebuild tells
-- the same. A month says which level the spend enters and which it still keeps; a level is kept for
-- as long as one of the last months, the grace, kept it. Somebody is in a level if the last month
-- that entered or lost it entered it: for each level a running maximum, instead of a loop.
--
-- Nearly everything stays as it is from month to month, so all that need not be looked at month by
-- month is kept as spells of equal months.
--
-- An increment decides the months from the first one on whose spends have changed, and goes on from
-- the tiers that were held before. A tier that is held was kept within the months of the grace, so
-- nothing further back is looked at.
with

known_periods as (

    {{ previous_build(is_increment(), {
        'customer_id': 'varchar', 'level': 'smallint', 'valid_from': 'date', 'valid_to': 'date'
    }) }}

),

-- Months are counted from the first one.
spans as (

    select
        min(month) as first_month,
        {{ months_between('min(month)', add_days(as_of(), 1)) }} as month_count,
        {{ months_between('min(month)', first_undecided_month()) if is_increment() else 0 }} + 1
            as decided_from

    from {{ ref('int_customer_months') }}

),

-- Only a month that is over is decided.
span as (

    select
        *,
        decided_from - 1 - {{ var('loyalty_grace_months') }} as seen_from

    from spans

    where decided_from <= month_count

),

months_of_customers as not materialized (

    select
        months.customer_id,
        {{ months_between('span.first_month', 'months.month') }} + 1 as month_number,
        span.seen_from,
        months.net_revenue

    from {{ ref('int_customer_months') }} as months

    cross join span

    where months.month >= {{ add_months(
        'span.first_month', 'span.seen_from - ' ~ var('vip_spend_months')
    ) }}

),

running_periods as (

    select
        known_periods.customer_id,
        {{ months_between('span.first_month', 'known_periods.valid_from') }} as month_number,
        span.seen_from,
        known_periods.level

    from known_periods

    cross join span

    where coalesce(
        known_periods.valid_to > {{ add_months('span.first_month', 'span.decided_from - 1') }}, true
    )

),

-- Short numbers, as each of the many months below carries one; the same number wherever it is asked
-- for.
customers as (

    select
        customer_id,
        cast(row_number() over (order by customer_id) as integer) as customer_number

    from (
        select customer_id from months_of_customers
        union all
        select customer_id from running_periods
    ) as everybody

    group by 1

),

numbered_months as (

    select
        customers.customer_number,
        months_of_customers.month_number,
        months_of_customers.seen_from,
        months_of_customers.net_revenue as net_spend

    from months_of_customers

    inner join customers
        on months_of_customers.customer_id = customers.customer_id

),

numbered_periods as (

    select
        customers.customer_number,
        running_periods.month_number,
        running_periods.seen_from,
        running_periods.level

    from running_periods

    inner join customers
        on running_periods.customer_id = customers.customer_id

),

-- What was spent counts from its month on, and for so many months. Who is in a period is looked at
-- even if nothing counts any more.
spend_changes as (

    select
        customer_number,
        greatest(month_number, seen_from) as month_number,
        net_spend
    from numbered_months

    union all

    select
        customer_number,
        month_number + {{ var('vip_spend_months') }} as month_number,
        -net_spend as net_spend
    from numbered_months

    union all

    select
        customer_number,
        seen_from as month_number,
        0 as net_spend
    from numbered_periods

),

decided_changes as (

    select
        spend_changes.customer_number,
        spend_changes.month_number,
        sum(spend_changes.net_spend) as net_spend

    from spend_changes

    inner join span
        on spend_changes.month_number <= span.month_count

    group by 1, 2

),

spends as (

    select
        decided_changes.customer_number,
        decided_changes.month_number,
        coalesce(lead(decided_changes.month_number) over by_month, span.month_count + 1)
            as next_number,
        cast(sum(decided_changes.net_spend) over by_month as decimal(18, 4)) as net_spend

    from decided_changes

    cross join span

    window by_month as (
        partition by decided_changes.customer_number
        order by decided_changes.month_number
        rows between unbounded preceding and current row
    )

),

spends_of_months as (

    select
        customer_number,
        cast(
            {{ each_element(numbers_between('month_number', 'next_number')) }} as smallint
        ) as month_number,
        net_spend

    from spends

),

bars_of_months as (

    select
        month_number,
        {{ tier_bars('net_spend') }} as bars

    from spends_of_months

    group by 1

),

bar_columns_of_months as (

    select
        month_number,
        {{ bar_columns('bars', 'entered_bar') }},
        {{ bar_columns('bars', 'kept_bar', var('loyalty_stay_share')) }}

    from bars_of_months

),

levels as (

    select
        spends.customer_number,
        spends.month_number,
        {{ bars_below('spends.net_spend', 'bars.entered_bar') }} as entered_level,
        {{ bars_below('spends.net_spend', 'bars.kept_bar') }} as kept_level

    from spends_of_months as spends

    inner join bar_columns_of_months as bars
        on spends.month_number = bars.month_number

),

members as (

    select customer_number from levels
    where entered_level > 0

    union

    select customer_number from numbered_periods

),

with_grace as (

    select
        customer_number,
        month_number,
        entered_level,
        kept_level,
        max(kept_level) over (
            partition by customer_number
            order by month_number
            rows between {{ var('loyalty_grace_months') }} preceding and current row
        ) as spared_level

    from levels

    where customer_number in (select members.customer_number from members)

),

months_before as (

    select
        *,
        lag({{ levels_of_a_month() }}) over (
            partition by customer_number order by month_number
        ) as levels_before

    from with_grace

),

spells as (

    select
        customer_number,
        month_number,
        entered_level,
        kept_level,
        spared_level,
        lead(month_number) over (partition by customer_number order by month_number) as next_number

    from months_before

    where {{ levels_of_a_month() }} is distinct from levels_before

),

-- What was decided before leaves nothing but the tier that was held.
decisions as (

    select
        spells.customer_number,
        spells.month_number,
        spells.entered_level,
        spells.spared_level

    from spells

    cross join span

    where spells.month_number >= span.decided_from

    union all

    select
        customer_number,
        month_number,
        level as entered_level,
        level as spared_level

    from numbered_periods

),

decided as (

    select
        customer_number,
        month_number,
        {{ level_held('so_far') }} as level

    from decisions

    window so_far as (
        partition by customer_number
        order by month_number
        rows between unbounded preceding and current row
    )

),

changes as (

    select
        *,
        lag(level) over (partition by customer_number order by month_number) as level_before

    from decided

),

-- Who never was in a tier before has no period in none.
periods as (

    select
        changes.customer_number,
        changes.level,
        changes.month_number,
        lead(changes.month_number) over (
            partition by changes.customer_number order by changes.month_number
        ) as next_number

    from changes

    cross join span

    where
        changes.level is distinct from changes.level_before
        and (
            changes.level > 0
            or changes.level_before is not null
            or changes.month_number < span.decided_from
        )

),

-- What is held may have been kept last by a month in which more was held.
last_kept as (

    select
        periods.customer_number,
        periods.month_number,
        max(
            least(
                coalesce(periods.next_number, span.month_count + 1),
                coalesce(spells.next_number, span.month_count + 1)
            ) - 1
        ) as month_number_kept

    from periods

    cross join span

    inner join spells
        on
            periods.customer_number = spells.customer_number
            and periods.level <= spells.kept_level
            and spells.month_number < coalesce(periods.next_number, span.month_count + 1)

    group by 1, 2

),

final as (

    select
        customers.customer_id,
        {{ tier_of_level('periods.level') }} as tier,
        periods.level,
        {{ add_months('span.first_month', 'periods.month_number') }} as valid_from,
        {{ add_months('span.first_month', 'periods.next_number') }} as valid_to,
        {{ add_months('span.first_month', 'last_kept.month_number_kept - 1') }}
            as last_kept_month,
        bars_of_months.bars

    from periods

    cross join span

    inner join customers
        on periods.customer_number = customers.customer_number

    inner join last_kept
        on
            periods.customer_number = last_kept.customer_number
            and periods.month_number = last_kept.month_number

    inner join bars_of_months
        on coalesce(periods.next_number - 1, span.month_count) = bars_of_months.month_number

)

select * from final
