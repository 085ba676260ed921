select
    customer_id,
    concat(code_order_count, ' of ', order_count, ' orders with a code') as reason

from {{ ref('int_customer_discounts') }}

where
    order_count > 1
    and 2 * code_order_count > order_count
