with

orders as (

    select * from {{ ref('fct_orders') }}

    where customer_id is not null

),

customers as (

    select
        customer_id,
        first_order_date,
        {{ month_of('first_order_date') }} as cohort_month

    from {{ ref('int_customer_history') }}

    where order_count > 0

),

cohorts as (

    select
        cohort_month,
        count(*) as customers,
        min(cohort_month) over () as first_cohort_month,
        {{ months_since('cohort_month', as_of()) }} as last_months_since

    from customers

    group by cohort_month

),

-- Every cell that can hold somebody by now, so that a month without orders is a zero, not a gap.
cells as (

    select
        cohorts.cohort_month,
        cohorts.customers,
        cohorts.cohort_month = cohorts.first_cohort_month as is_first_cohort,
        numbers.number as months_since

    from cohorts

    inner join {{ numbers_up_to('(select max(c.last_months_since) from cohorts as c)') }}
        on cohorts.last_months_since >= numbers.number

),

orders_of_cohorts as (

    select
        customers.cohort_month,
        orders.customer_id,
        orders.is_counted,
        orders.net_amount,
        {{ months_since('customers.first_order_date', 'orders.ordered_date') }} as months_since

    from orders

    inner join customers
        on orders.customer_id = customers.customer_id

),

activity as (

    select
        cohort_month,
        months_since,
        count(distinct case when is_counted then customer_id end) as active_customers,
        sum(net_amount) as net_revenue

    from orders_of_cohorts

    group by cohort_month, months_since

),

final as (

    select
        cells.cohort_month,
        cast(cells.months_since as integer) as months_since,
        cells.customers,
        coalesce(activity.active_customers, 0) as active_customers,
        coalesce(activity.active_customers, 0) / cast(cells.customers as double)
            as retention_rate,
        cast(coalesce(activity.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        {{ day_after_cell('cells.cohort_month', 'cells.months_since') }}
        <= {{ add_days(as_of(), 1) }}
            as is_complete,
        cells.is_first_cohort

    from cells

    left join activity
        on
            cells.cohort_month = activity.cohort_month
            and cells.months_since = activity.months_since

)

select * from final
