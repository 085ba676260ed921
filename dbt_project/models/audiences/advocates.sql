select
    customer_id,
    reason,
    referral_code,
    order_count

from {{ ref('int_advocates') }}
