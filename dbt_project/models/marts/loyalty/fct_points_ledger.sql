-- Points are spent and expire in the order in which they were earned. So all that matters is how
-- far along the row of earned points the programme has come: a redemption moves that place on by
-- its points, an expiry to the end of what was earned until then, if it is not beyond already.
-- After n events it is R(n) + max(0, max over j <= n of (floor(j) - R(j))), R being what was
-- redeemed so far: a running maximum instead of a loop, and an expiry can never take what is not
-- there.
--
-- A customer's entries depend on what is theirs alone: orders, tiers, birthday and redemptions. So
-- they are computed anew only for those of whom any of it changed, and whose points have just
-- expired (list_points_due).
with

orders as (

    select
        *,
        {{ add_months('ordered_date', var('points_valid_months')) }} as expires_on

    from {{ ref('fct_orders') }}

    where
        customer_id is not null
        and not is_refund_only
        and {{ is_points_due() }}

),

tiers as (

    select * from {{ ref('int_tier_periods') }}

),

documents as (

    select * from {{ ref('stg_shop__orders') }}

    where cancelled_date is not null

),

refunds as (

    select * from {{ ref('stg_shop__refunds') }}

    where excluded_by is null

),

cancellations as (

    select * from {{ ref('int_refund_allocations') }}

),

cancellation_days as (

    select
        order_id,
        min(ordered_date) as ordered_date

    from {{ ref('fct_order_lines') }}

    where line_kind = 'cancellation'

    group by order_id

),

birthdays as (

    {{ birthdays() }}

),

redeemed as (

    select * from ({{ redeemed_points() }}) as redemptions

    where {{ is_points_due() }}

),

takings_back as (

    select
        orders.order_id,
        cast(refunds.refunded_at as date) as reversed_date,
        {{ in_reporting_currency('refunds.amount', 'orders.exchange_rate') }} as amount
    from refunds
    inner join orders
        on refunds.order_id = orders.order_id

    union all

    select
        orders.order_id,
        documents.cancelled_date as reversed_date,
        orders.refunded_amount as amount
    from documents
    inner join orders
        on documents.order_id = orders.order_id

    union all

    select
        cancellations.order_id,
        cancellation_days.ordered_date as reversed_date,
        cancellations.refunded_amount as amount
    from cancellations
    inner join cancellation_days
        on cancellations.cancellation_order_id = cancellation_days.order_id

),

-- Points that came before the refund of their order have expired by then, if they were not spent.
reversals as (

    select
        takings_back.order_id,
        max(
            case
                when takings_back.reversed_date < orders.expires_on
                    then takings_back.reversed_date
            end
        ) as reversed_date,
        sum(case when takings_back.reversed_date >= orders.expires_on then takings_back.amount end)
            as late_amount

    from takings_back

    inner join orders
        on takings_back.order_id = orders.order_id

    group by takings_back.order_id

),

-- The tier of the day, whatever it has become since.
orders_with_points as (

    select
        orders.customer_id,
        orders.order_id,
        orders.ordered_date,
        coalesce(tiers.tier, 'none') as tier,
        orders.expires_on,
        greatest(coalesce(reversals.reversed_date, orders.ordered_date), orders.ordered_date)
            as reversed_date,
        {{ points_for('orders.gross_amount - orders.discount_amount', 'tiers.tier') }}
            as earned_points,
        {{ points_for(
            'cast(orders.net_amount + coalesce(reversals.late_amount, 0) as decimal(18, 4))',
            'tiers.tier'
        ) }} as kept_points

    from orders

    left join tiers
        on
            orders.customer_id = tiers.customer_id
            and orders.ordered_date >= tiers.valid_from
            and orders.ordered_date < coalesce(tiers.valid_to, date '9999-12-31')

    left join reversals
        on orders.order_id = reversals.order_id

),

first_orders as (

    select
        customer_id,
        min(ordered_date) as first_order_date

    from orders_with_points

    group by customer_id

),

birthday_months as (

    {{ months_from_to(
        month_of('(select min(first_order_date) from first_orders)'), month_of(as_of())
    ) }}

),

bonuses as (

    select
        birthdays.customer_id,
        birthday_months.month

    from birthdays

    inner join first_orders
        on birthdays.customer_id = first_orders.customer_id

    inner join birthday_months
        on
            extract('month' from birthdays.birthday) = extract('month' from birthday_months.month)
            and first_orders.first_order_date < birthday_months.month

    where {{ var('points_birthday_bonus') }} > 0 and {{ var('points_per_unit') }} > 0

),

earned as (

    select
        concat('earn:', order_id) as entry_id,
        customer_id,
        'earn' as entry_kind,
        earned_points as points,
        earned_points - kept_points as reversed_points,
        ordered_date as booked_date,
        reversed_date,
        expires_on,
        order_id,
        tier
    from orders_with_points
    where earned_points > 0

    union all

    select
        concat('birthday:', customer_id, ':', month) as entry_id,
        customer_id,
        'birthday' as entry_kind,
        {{ var('points_birthday_bonus') }} as points,
        0 as reversed_points,
        month as booked_date,
        null as reversed_date,
        {{ add_months('month', var('points_valid_months')) }} as expires_on,
        null as order_id,
        null as tier
    from bonuses

),

-- What is earned later expires later.
lots as (

    select
        customer_id,
        expires_on,
        sum(sum(points - reversed_points)) over (
            partition by customer_id
            order by expires_on
            rows between unbounded preceding and current row
        ) as earned_to

    from earned

    group by customer_id, expires_on

),

-- Expired points are gone before the day begins.
events as (

    select
        null as redemption_id,
        customer_id,
        'expire' as entry_kind,
        expires_on as booked_date,
        0 as redeemed_points,
        earned_to as expired_to,
        null as order_id
    from lots
    where expires_on <= {{ as_of() }}

    union all

    select
        redemption_id,
        customer_id,
        'redeem' as entry_kind,
        redeemed_date as booked_date,
        points as redeemed_points,
        null as expired_to,
        order_id
    from redeemed

),

events_with_sums as (

    select
        *,
        sum(redeemed_points) over (
            partition by customer_id
            order by booked_date asc, redemption_id asc nulls first
            rows between unbounded preceding and current row
        ) as redeemed_to

    from events

),

steps as (

    select
        *,
        redeemed_points
        + greatest(0, max(expired_to - redeemed_to) over so_far)
        - greatest(0, max(expired_to - redeemed_to) over before) as used_points

    from events_with_sums

    window
        so_far as (
            partition by customer_id
            order by booked_date asc, redemption_id asc nulls first
            rows between unbounded preceding and current row
        ),
        before as (
            partition by customer_id
            order by booked_date asc, redemption_id asc nulls first
            rows between unbounded preceding and 1 preceding
        )

),

entries as (

    select
        entry_id,
        customer_id,
        entry_kind,
        points,
        booked_date,
        expires_on,
        order_id,
        tier
    from earned

    union all

    select
        concat('reverse:', order_id) as entry_id,
        customer_id,
        'reverse' as entry_kind,
        -reversed_points as points,
        reversed_date as booked_date,
        expires_on,
        order_id,
        tier
    from earned
    where reversed_points > 0

    union all

    select
        case
            when redemption_id is null then concat('expire:', customer_id, ':', booked_date)
            else concat('redeem:', redemption_id)
        end as entry_id,
        customer_id,
        entry_kind,
        -used_points as points,
        booked_date,
        null as expires_on,
        order_id,
        null as tier
    from steps
    where used_points > 0

),

final as (

    select
        entry_id,
        customer_id,
        entry_kind,
        cast(points as bigint) as points,
        booked_date,
        expires_on,
        order_id,
        tier

    from entries

)

select * from final
