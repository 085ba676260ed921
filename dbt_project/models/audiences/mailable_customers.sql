select
    customer_id,
    'agreed to e-mail' as reason,
    rfm_segment,
    vip_tier,
    lifecycle_stage,
    order_count,
    net_spend,
    last_order_date

from {{ ref('dim_customers') }}

where
    has_email_consent
    and suppressed_reason is null
