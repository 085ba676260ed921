select
    customer_id,
    concat('next order expected by ', expected_next_order_date) as reason,
    expected_next_order_date

from {{ ref('fct_customer_value') }}

where expected_next_order_date <= {{ add_days(as_of(), 14) }}
