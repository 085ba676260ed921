-- MetricFlow's time spine.
with

span as (

    select
        {{ month_of('min(ordered_date)') }} as first_day,
        {{ days_between(month_of('min(ordered_date)'), month_end(as_of())) }} as day_count

    from {{ ref('fct_orders') }}

),

final as (

    select {{ add_days('span.first_day', 'numbers.number') }} as date_day

    from span

    inner join {{ numbers_up_to('(select whole.day_count from span as whole)') }}
        on numbers.number <= span.day_count

)

select * from final
