select
    customer_id,
    concat('likes ', category, ', ', round(affinity, 1), ' times the average') as reason,
    sku as new_arrival_sku,
    product_name as new_arrival_product

from {{ ref('fct_product_alerts') }}

where alert_kind = 'new_arrival'
