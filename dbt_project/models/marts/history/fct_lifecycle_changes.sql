-- What every order, and every silence after one, made of a customer. Limits are those of the
-- customer's rhythm at the time, seen against the population of today.
with

histories as (

    select
        customer_id,
        ordered_date,
        order_count,
        {{ 'day_number' if frequency() == 'order_day_count' else 'order_number' }} as frequency,
        first_order_date,
        next_order_date

    from {{ ref('int_customer_days') }}

),

rhythms as (

    select
        histories.*,
        population.second_order_days,
        {{ expected_days_between_orders(
            'histories.frequency',
            days_between('histories.first_order_date', 'histories.ordered_date')
        ) }} as expected_days_between_orders

    from histories

    cross join {{ ref('int_population') }} as population

),

with_limits as (

    select
        *,
        {{ silence_limit('at_risk') }} as at_risk_after_days,
        {{ silence_limit('lapsed') }} as lapsed_after_days

    from rhythms

),

silences as (

    select
        *,
        ordered_date = first_order_date and order_count = 1 as is_new,
        {{ days_between('ordered_date', 'next_order_date') }} as days_to_next_order,
        floor(at_risk_after_days) + 1 as at_risk_days,
        floor(lapsed_after_days) + 1 as lapsed_days,
        floor({{ lost_after_days() }}) + 1 as lost_days,
        {{ days_between(
            'ordered_date', 'coalesce(next_order_date, ' ~ add_days(as_of(), 1) ~ ')'
        ) }} as silent_days

    from with_limits

),

-- A stage that ends by itself does so only if nothing has happened since it began (ends_stage_of).
entries as (

    select
        *,
        case when is_new then 'new' else 'active' end as stage,
        ordered_date as entered_date,
        cast(0 as bigint) as recency_days,
        cast(null as date) as ends_stage_of
    from silences
    where ordered_date = first_order_date

    union all

    select
        *,
        'active' as stage,
        {{ add_days('ordered_date', var('new_customer_days') + 1) }} as entered_date,
        {{ var('new_customer_days') + 1 }} as recency_days,
        ordered_date as ends_stage_of
    from silences
    where
        is_new
        and silent_days > {{ var('new_customer_days') + 1 }}

    union all

    select
        *,
        'at_risk' as stage,
        {{ add_days('ordered_date', 'at_risk_days') }} as entered_date,
        cast(at_risk_days as bigint) as recency_days,
        null as ends_stage_of
    from silences
    where
        silent_days > at_risk_days
        and at_risk_days < lapsed_days

    union all

    select
        *,
        'lapsed' as stage,
        {{ add_days('ordered_date', 'lapsed_days') }} as entered_date,
        cast(lapsed_days as bigint) as recency_days,
        null as ends_stage_of
    from silences
    where
        silent_days > lapsed_days
        and lapsed_days < lost_days

    union all

    select
        *,
        'lost' as stage,
        {{ add_days('ordered_date', 'lost_days') }} as entered_date,
        cast(lost_days as bigint) as recency_days,
        null as ends_stage_of
    from silences
    where silent_days > lost_days

    union all

    select
        *,
        case when days_to_next_order >= lapsed_days then 'won_back' else 'active' end as stage,
        next_order_date as entered_date,
        days_to_next_order as recency_days,
        null as ends_stage_of
    from silences
    where
        days_to_next_order >= at_risk_days
        or (is_new and days_to_next_order <= {{ var('new_customer_days') + 1 }})

    union all

    select
        *,
        'active' as stage,
        {{ add_days('next_order_date', var('won_back_days') + 1) }} as entered_date,
        {{ var('won_back_days') + 1 }} as recency_days,
        next_order_date as ends_stage_of
    from silences
    where
        days_to_next_order >= lapsed_days
        and {{ add_days('next_order_date', var('won_back_days') + 1) }} <= {{ as_of() }}

),

entries_with_latest as (

    select
        *,
        max(case when ends_stage_of is null then entered_date end) over (
            partition by customer_id
            order by entered_date, ends_stage_of nulls first
            rows between unbounded preceding and 1 preceding
        ) as latest_entered_date

    from entries

),

changes as (

    select
        *,
        stage = 'at_risk' as is_at_risk,
        stage in ('lapsed', 'lost') as is_lapsed

    from entries_with_latest

    where
        ends_stage_of is null
        or ends_stage_of = latest_entered_date

),

final as (

    select
        customer_id,
        stage,
        entered_date,
        lead(entered_date) over (partition by customer_id order by entered_date) as left_date,
        case
            when stage in ('at_risk', 'lapsed', 'lost') then {{ lapse_reason() }}
            when ends_stage_of is not null
                then concat('no longer new or back: ', recency_days - 1, ' days have gone by')
            when recency_days = 0 then 'first order'
            when stage = 'won_back'
                then concat(
                    'ordered again after ', recency_days, ' days',
                    case
                        when frequency > 1
                            then concat(
                                ', usual gap ', round(expected_days_between_orders, 0)::integer
                            )
                    end
                )
            else concat('ordered again after ', recency_days, ' days')
        end as reason

    from changes

)

select * from final
