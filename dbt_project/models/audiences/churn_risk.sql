with

customers as (

    select
        customer_value.customer_id,
        customer_value.churn_probability,
        customers.recency_days,
        customers.last_order_date,
        percent_rank() over (order by customer_value.churn_probability desc) as share_above

    from {{ ref('fct_customer_value') }} as customer_value

    inner join {{ ref('dim_customers') }} as customers
        on customer_value.customer_id = customers.customer_id

    where
        customers.order_count > 1
        and not customers.is_lapsed
        and customer_value.churn_probability is not null

)

select
    customer_id,
    concat(
        cast(round(100 * churn_probability) as integer),
        ' % not to order within {{ var("churn_days") }} days, silent for ', recency_days
    ) as reason,
    last_order_date

from customers

where share_above < 0.20
