select
    customer_id,
    lapse_reason as reason,
    last_order_date

from {{ ref('dim_customers') }}

where lifecycle_stage = 'at_risk'
