select
    customer_id,
    concat('one order, on ', first_order_date) as reason,
    first_order_date

from {{ ref('dim_customers') }}

where order_count = 1
