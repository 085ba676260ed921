select
    customer_id,
    vip_reason as reason,
    vip_tier

from {{ ref('dim_customers') }}

where is_vip
