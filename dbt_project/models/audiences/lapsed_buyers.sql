select
    customer_id,
    lapse_reason as reason,
    last_order_date

from {{ ref('dim_customers') }}

where is_lapsed
