-- Who is to be written to on an occasion of their own, and since when. A moment stays open for
-- some days, so that a mail that could not go out on the day still can.
{%- set open_since = add_days(as_of(), -var('moment_open_days')) %}
{%- set season_day = add_days(as_of(), var('season_lead_days')) %}
with

customers as (

    select
        customer_id,
        order_count,
        first_order_date,
        last_order_date

    from {{ ref('int_customer_history') }}

    where order_count > 0

),

orders as (

    select
        order_id,
        customer_id,
        ordered_date

    from {{ ref('fct_orders') }}

    where
        is_counted
        and customer_id is not null

),

deliveries as (

    select
        order_id,
        delivered_at
    from {{ ref('stg_shop__orders') }}
    where delivered_at is not null

    union all

    select
        order_id,
        delivered_at
    from {{ ref('stg_shop__order_lines') }}
    where delivered_at is not null

),

-- An order of several parcels is delivered when the last one is.
delivered_orders as (

    select
        order_id,
        cast(max(delivered_at) as date) as delivered_date

    from deliveries

    where cast(delivered_at as date) <= {{ as_of() }}

    group by order_id

),

recent_orders as (

    select
        orders.order_id,
        orders.customer_id,
        coalesce(
            delivered_orders.delivered_date,
            {{ add_days('orders.ordered_date', var('assumed_delivery_days')) }}
        ) as delivered_date

    from orders

    left join delivered_orders
        on orders.order_id = delivered_orders.order_id

    where
        orders.ordered_date > {{ add_days(as_of(), -(
            var('delivery_most_days') + (var('post_purchase_days').values() | max) + var('moment_open_days')
        )) }}

),

steps as (

    {{ post_purchase_steps() }}

),

post_purchase as (

    select
        recent_orders.customer_id,
        steps.moment,
        {{ add_days('recent_orders.delivered_date', 'steps.days_after') }} as due_date,
        recent_orders.order_id,
        concat(steps.days_after, ' days after a delivery') as reason

    from recent_orders

    cross join steps

),

birthdays as (

    select
        customer_id,
        'birthday' as moment,
        birthday as first_date,
        {{ var('birthday_lead_days') }} as lead_days,
        'birthday' as reason
    from {{ ref('dim_contacts') }}
    where birthday is not null

    union all

    select
        customer_id,
        'anniversary' as moment,
        first_order_date as first_date,
        0 as lead_days,
        'anniversary of the first order' as reason
    from customers

),

-- Of a birthday only the day the mail is due is told, and so no year.
anniversaries as (

    select
        customer_id,
        moment,
        {{ add_days(
            latest_anniversary('first_date', add_days(as_of(), 'lead_days')), '-lead_days'
        ) }} as due_date,
        cast(null as varchar) as order_id,
        reason

    from birthdays

    where
        {{ latest_anniversary('first_date', add_days(as_of(), 'lead_days')) }} > first_date

),

orders_by_season as (

    select
        customer_id,
        {{ season_of_year('ordered_date') }} as season,
        {{ season_start('ordered_date') }} as season_start,
        count(*) as order_count

    from orders

    where ordered_date < {{ add_days(season_start(season_day), -var('season_lead_days')) }}

    group by
        customer_id,
        season,
        season_start

),

seasons as (

    select
        customer_id,
        sum(order_count) as order_count,
        sum(case when season = {{ season_of_year(season_day) }} then order_count end)
            as season_orders,
        count(case when season = {{ season_of_year(season_day) }} then 1 end) as season_count

    from orders_by_season

    group by customer_id

),

-- Whoever buys all year round is nobody's seasonal buyer, and one season's orders are only a habit
-- once a good part of a year has passed without others.
seasonal as (

    select
        seasons.customer_id,
        'season' as moment,
        {{ add_days(season_start(season_day), -var('season_lead_days')) }} as due_date,
        cast(null as varchar) as order_id,
        concat(
            cast(seasons.season_orders as bigint), ' of ', cast(seasons.order_count as bigint),
            ' orders in this season, years: ', seasons.season_count
        ) as reason

    from seasons

    inner join customers
        on seasons.customer_id = customers.customer_id

    where
        seasons.season_orders >= {{ var('season_min_share') }} * seasons.order_count
        and customers.last_order_date
        < {{ add_days(season_start(season_day), -var('season_lead_days')) }}
        and (
            seasons.season_count >= 2
            or (
                seasons.season_orders = seasons.order_count
                and seasons.order_count >= 2
                and customers.last_order_date < {{ add_months(as_of(), -6) }}
            )
        )

),

nudge as (

    select min(days_since_first_order) as days_after

    from {{ ref('fct_second_order_curve') }}

    where share_back >= {{ var('second_order_nudge_share') }}

),

second_orders as (

    select
        customers.customer_id,
        'second_order' as moment,
        {{ add_days('customers.first_order_date', 'nudge.days_after') }} as due_date,
        cast(null as varchar) as order_id,
        concat(
            'bought once; {{ (100 * var("second_order_nudge_share")) | round | int }} % of second',
            ' orders come within ', nudge.days_after, ' days'
        ) as reason

    from customers

    cross join nudge

    where
        customers.order_count = 1
        and nudge.days_after is not null

),

moments as (

    select * from post_purchase

    union all

    select * from anniversaries

    union all

    select * from second_orders

),

due as (

    select * from moments
    where
        due_date <= {{ as_of() }}
        and due_date > {{ open_since }}

    union all

    select * from seasonal
    where
        due_date <= {{ as_of() }}
        and due_date > {{ add_days(as_of(), -var('season_open_days')) }}

),

final as (

    select
        customer_id,
        moment,
        due_date,
        order_id,
        reason

    from due

    qualify row_number() over (
        partition by customer_id, moment order by due_date desc, order_id asc
    ) = 1

)

select * from final
