select
    customer_id,
    concat('first order on ', first_order_date) as reason,
    first_order_date

from {{ ref('dim_customers') }}

where lifecycle_stage = 'new'
