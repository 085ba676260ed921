select
    customer_id,
    concat_ws('; ', vip_reason, lapse_reason) as reason,
    vip_tier,
    last_order_date

from {{ ref('dim_customers') }}

where vip_status = 'vip_at_risk'
