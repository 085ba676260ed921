select
    customer_id,
    reason,
    due_date

from {{ ref('fct_customer_moments') }}

where moment = 'birthday'
