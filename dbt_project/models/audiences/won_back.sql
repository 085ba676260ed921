select
    customer_id,
    lifecycle_reason as reason,
    last_order_date

from {{ ref('dim_customers') }}

where lifecycle_stage = 'won_back'
