with

movements as (

    select * from {{ ref('int_order_movements') }}

),

span as (

    select
        {{ month_of('min(movement_date)') }} as first_month,
        {{ months_between('min(movement_date)', add_days(as_of(), 1)) }} as month_count

    from movements

),

fingerprints as (

    select
        {{ month_end('movement_date') }} as as_of_date,
        sum({{ row_fingerprint(
            ['customer_id', 'movement_date', 'is_counted_order', 'gross_amount', 'net_amount']
        ) }}) as fingerprint

    from movements

    group by 1

),

month_ends as (

    select
        numbers.number as month_number,
        {{ add_days(add_months('span.first_month', 'numbers.number'), -1) }} as as_of_date

    from span

    inner join {{ numbers_up_to('(select whole.month_count from span as whole)') }}
        on numbers.number > 0

),

final as (

    select
        cast(month_ends.month_number as integer) as month_number,
        month_ends.as_of_date,
        cast(
            md5(
                concat(
                    sum(fingerprints.fingerprint) over (order by month_ends.as_of_date),
                    '{{ [
                        var("rfm_method"), var("rfm_monetary"), var("rfm_frequency"), rfm_grid()
                    ] | string | replace("'", "") }}'
                )
            ) as uuid
        ) as orders_fingerprint

    from month_ends

    left join fingerprints
        on month_ends.as_of_date = fingerprints.as_of_date

)

select * from final
