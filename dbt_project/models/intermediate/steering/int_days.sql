-- MetricFlow's time spine.
select {{ add_days('span.first_day', 'numbers.number') }} as date_day

from (
    select
        {{ month_of('min(ordered_date)') }} as first_day,
        {{ days_between(month_of('min(ordered_date)'), month_end(as_of())) }} as day_count
    from {{ ref('fct_orders') }}
) as span

inner join {{ numbers_up_to('(select ' ~ days_between(month_of('min(orders.ordered_date)'), month_end(as_of())) ~ ' from ' ~ ref('fct_orders') ~ ' as orders)') }}
    on numbers.number <= span.day_count
