select
    customer_id,
    concat('RFM ', rfm_code) as reason,
    rfm_segment

from {{ ref('dim_customers') }}

where rfm_segment = 'champions'
