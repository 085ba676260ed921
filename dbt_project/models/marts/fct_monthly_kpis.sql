-- Somebody is a customer for so many months after an order (var customer_window_months). Retained
-- are those who were customers when the month began and still are when it ends; new and won-back
-- buyers count on neither side, so that the rate never exceeds 1.
{% set window = var('customer_window_months') %}

with

orders as (

    select
        *,
        {{ month_of('ordered_date') }} as month

    from {{ ref('fct_orders') }}

),

customers as (

    select
        customer_id,
        {{ month_of('first_order_date') }} as first_month,
        {{ month_of('second_order_date') }} as second_month

    from {{ ref('int_customer_history') }}

    where order_count > 0

),

span as (

    select
        min(month) as first_month,
        {{ months_between('min(month)', as_of()) }} as last_number

    from orders

),

months as (

    select {{ add_months('span.first_month', 'numbers.number') }} as month

    from span

    inner join {{ numbers_up_to('(select whole.last_number from span as whole)') }}
        on true

),

monthly_orders as (

    select
        orders.month,
        count(*) filter (where orders.is_counted) as order_count,
        count(distinct orders.customer_id) filter (where orders.is_counted) as active_customers,
        count(*) filter (where orders.is_counted and orders.customer_id is null)
            as guest_order_count,
        sum(orders.net_amount) as net_revenue,
        sum(case when customers.first_month = orders.month then orders.net_amount else 0 end)
            as new_revenue,
        sum(case when orders.customer_id is null then orders.net_amount else 0 end)
            as guest_revenue

    from orders

    left join customers
        on orders.customer_id = customers.customer_id

    group by orders.month

),

customer_months as (

    select distinct
        customer_id,
        month

    from orders

    where
        is_counted
        and customer_id is not null

),

-- A customer's state at the end of a month depends on the latest month with an order alone.
customer_months_with_next as (

    select
        month,
        lead(month) over (partition by customer_id order by month) as next_month

    from customer_months

),

customers_by_latest_month as (

    select
        month,
        next_month,
        count(*) as customers

    from customer_months_with_next

    group by month, next_month

),

customer_counts as (

    select
        months.month,
        sum(
            case
                when
                    latest.month < months.month
                    and latest.month >= {{ add_months('months.month', -window) }}
                    and (latest.next_month >= months.month or latest.next_month is null)
                    then latest.customers
                else 0
            end
        ) as customers_at_start,
        sum(
            case
                when
                    latest.month = {{ add_months('months.month', -window) }}
                    and (latest.next_month > months.month or latest.next_month is null)
                    then latest.customers
                else 0
            end
        ) as lost_customers,
        sum(
            case
                when
                    latest.month <= months.month
                    and latest.month > {{ add_months('months.month', -window) }}
                    and (latest.next_month > months.month or latest.next_month is null)
                    then latest.customers
                else 0
            end
        ) as customers_at_end

    from months

    inner join customers_by_latest_month as latest
        on months.month >= latest.month

    group by months.month

),

newcomers as (

    select
        months.month,
        count(case when customers.first_month = months.month then 1 end) as new_customers,
        count(*) as customers_so_far,
        count(case when customers.second_month <= months.month then 1 end)
            as repeat_customers_so_far

    from months

    inner join customers
        on months.month >= customers.first_month

    group by months.month

),

final as (

    select
        months.month,
        coalesce(monthly_orders.active_customers, 0) as active_customers,
        coalesce(newcomers.new_customers, 0) as new_customers,
        coalesce(monthly_orders.active_customers, 0) - coalesce(newcomers.new_customers, 0)
            as returning_customers,
        cast(coalesce(customer_counts.customers_at_start, 0) as bigint) as customers_at_start,
        cast(coalesce(customer_counts.customers_at_end, 0) as bigint) as customers_at_end,
        cast(coalesce(customer_counts.lost_customers, 0) as bigint) as lost_customers,
        months.month >= {{ add_months('span.first_month', window) }}
            as has_whole_window,
        newcomers.repeat_customers_so_far / cast(newcomers.customers_so_far as double)
            as repeat_purchase_rate,
        coalesce(monthly_orders.order_count, 0) as order_count,
        coalesce(monthly_orders.guest_order_count, 0) as guest_order_count,
        cast(coalesce(monthly_orders.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(coalesce(monthly_orders.new_revenue, 0) as decimal(18, 4)) as new_revenue,
        cast(coalesce(monthly_orders.guest_revenue, 0) as decimal(18, 4)) as guest_revenue

    from months

    cross join span

    left join monthly_orders
        on months.month = monthly_orders.month

    left join customer_counts
        on months.month = customer_counts.month

    left join newcomers
        on months.month = newcomers.month

),

with_rates as (

    select
        month,
        active_customers,
        new_customers,
        returning_customers,
        customers_at_start,
        customers_at_end,
        lost_customers,
        case
            when has_whole_window
                then
                    (customers_at_start - lost_customers)
                    / cast(nullif(customers_at_start, 0) as double)
        end as retention_rate,
        case
            when has_whole_window
                then lost_customers / cast(nullif(customers_at_start, 0) as double)
        end as churn_rate,
        repeat_purchase_rate,
        cast(net_revenue / nullif(order_count, 0) as decimal(18, 4)) as average_order_value,
        order_count,
        guest_order_count,
        net_revenue,
        new_revenue,
        cast(net_revenue - new_revenue - guest_revenue as decimal(18, 4)) as returning_revenue,
        guest_revenue,
        {{ add_months('month', 1) }} <= {{ add_days(as_of(), 1) }} as is_complete

    from final

)

select * from with_rates
