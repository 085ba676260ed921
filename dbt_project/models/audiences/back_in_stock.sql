select
    customer_id,
    concat('likes ', category, ', ', round(affinity, 1), ' times the average') as reason,
    sku as back_in_stock_sku,
    product_name as back_in_stock_product

from {{ ref('fct_product_alerts') }}

where alert_kind = 'back_in_stock'
