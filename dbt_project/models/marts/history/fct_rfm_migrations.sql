-- A month is counted again only when its history is computed again; the hook takes such months out.
-- As months follow upon each other, what is left is everything up to some month.
-- depends_on: {{ ref('int_month_ends') }}
with

history as not materialized (

    select * from {{ ref('fct_rfm_history') }}

),

kept as (

    select {{ 'max(month)' if is_increment() else 'cast(null as date)' }} as month

    {{ 'from ' ~ this if is_increment() }}

),

-- Before the first month's end nobody was anything.
first_month_end as (

    select min(as_of_date) as as_of_date

    from history

),

final as (

    select
        {{ month_of('history.as_of_date') }} as month,
        coalesce(history.previous_rfm_segment, 'none') as from_segment,
        history.rfm_segment as to_segment,
        count(*) as customers,
        cast(sum(history.net_spend) as decimal(18, 4)) as net_spend,
        count(case when history.r_score > history.previous_r_score then 1 end) as r_score_rose,
        count(case when history.r_score < history.previous_r_score then 1 end) as r_score_fell,
        count(case when history.f_score > history.previous_f_score then 1 end) as f_score_rose,
        count(case when history.f_score < history.previous_f_score then 1 end) as f_score_fell,
        count(case when history.m_score > history.previous_m_score then 1 end) as m_score_rose,
        count(case when history.m_score < history.previous_m_score then 1 end) as m_score_fell,
        max(history.orders_fingerprint) as orders_fingerprint

    from history

    inner join first_month_end
        on history.as_of_date > first_month_end.as_of_date

    inner join kept
        on
            kept.month is null
            or history.as_of_date >= {{ add_months('kept.month', 1) }}

    group by 1, 2, 3

)

select
    month,
    from_segment,
    to_segment,
    {{ rfm_segment_place('to_segment') }} - {{ rfm_segment_place('from_segment') }} as steps_down,
    customers,
    net_spend,
    r_score_rose,
    r_score_fell,
    f_score_rose,
    f_score_fell,
    m_score_rose,
    m_score_fell,
    orders_fingerprint

from final
