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

-- What begins a stage: an order, or a silence that has lasted for so long.
entries as (

    select
        *,
        case when is_new then 'new' else 'active' end as stage,
        ordered_date as entered_date,
        cast(0 as bigint) as recency_days
    from silences
    where ordered_date = first_order_date

    union all

    select
        *,
        'at_risk' as stage,
        {{ add_days('ordered_date', 'at_risk_days') }} as entered_date,
        cast(at_risk_days as bigint) as recency_days
    from silences
    where
        silent_days > at_risk_days
        and at_risk_days < lapsed_days

    union all

    select
        *,
        'lapsed' as stage,
        {{ add_days('ordered_date', 'lapsed_days') }} as entered_date,
        cast(lapsed_days as bigint) as recency_days
    from silences
    where
        silent_days > lapsed_days
        and lapsed_days < lost_days

    union all

    select
        *,
        'lost' as stage,
        {{ add_days('ordered_date', 'lost_days') }} as entered_date,
        cast(lost_days as bigint) as recency_days
    from silences
    where silent_days > lost_days

    union all

    select
        *,
        case when days_to_next_order >= lapsed_days then 'won_back' else 'active' end as stage,
        next_order_date as entered_date,
        days_to_next_order as recency_days
    from silences
    where
        days_to_next_order >= at_risk_days
        or (is_new and days_to_next_order <= {{ var('new_customer_days') + 1 }})

),

stays as (

    select
        customer_id,
        stage,
        entered_date,
        recency_days,
        frequency,
        expected_days_between_orders,
        at_risk_after_days,
        lapsed_after_days,
        lead(entered_date) over (partition by customer_id order by entered_date)
            as next_entered_date,
        {{ add_days(
            'entered_date',
            "case stage when 'new' then " ~ (var('new_customer_days') + 1)
            ~ " when 'won_back' then " ~ (var('won_back_days') + 1) ~ " end"
        ) }} as over_date

    from entries

),

-- To be new, or back, ends by itself if nothing else has happened by then.
stays_with_end as (

    select
        *,
        over_date <= {{ as_of() }}
        and (next_entered_date is null or over_date < next_entered_date) as is_over,
        stage = 'at_risk' as is_at_risk,
        stage in ('lapsed', 'lost') as is_lapsed

    from stays

),

final as (

    select
        stays.customer_id,
        stays.stage,
        stays.entered_date,
        case when stays.is_over then stays.over_date else stays.next_entered_date end as left_date,
        case
            when stays.stage in ('at_risk', 'lapsed', 'lost') then {{ lapse_reason() }}
            when stays.recency_days = 0 then 'first order'
            when stays.stage = 'won_back'
                then concat(
                    'ordered again after ', stays.recency_days, ' days',
                    case
                        when stays.frequency > 1
                            then concat(
                                ', usual gap ',
                                round(stays.expected_days_between_orders, 0)::integer
                            )
                    end
                )
            else concat('ordered again after ', stays.recency_days, ' days')
        end as reason
    from stays_with_end as stays
    cross join {{ ref('int_population') }}

    union all

    select
        customer_id,
        'active' as stage,
        over_date as entered_date,
        next_entered_date as left_date,
        concat(
            'no longer new or back: ',
            {{ days_between('entered_date', 'over_date') }} - 1,
            ' days have gone by'
        ) as reason
    from stays_with_end
    where is_over

)

select * from final
