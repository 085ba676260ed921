select
    customer_id,
    concat(order_count, ' orders, none with a discount') as reason

from {{ ref('int_customer_discounts') }}

where
    order_count > 1
    and discounted_order_count = 0
    and code_order_count = 0
