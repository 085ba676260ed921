-- How soon people come back, among those who have. The track for one-time buyers reads it at two
-- points: at risk beyond one share, lapsed beyond the other.
with

returned_customers as (

    select
        {{ days_between('first_order_date', 'second_order_date') }} as days_since_first_order,
        count(*) as customers

    from {{ ref('int_customer_history') }}

    where second_order_date is not null

    group by 1

),

final as (

    select
        cast(days_since_first_order as integer) as days_since_first_order,
        customers as customers_back_on_day,
        cast(sum(customers) over (order by days_since_first_order) as bigint) as customers_back,
        cast(sum(customers) over (order by days_since_first_order) as double)
        / sum(customers) over () as share_back

    from returned_customers

)

select * from final
