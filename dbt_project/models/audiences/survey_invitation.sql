select
    customer_id,
    concat('invited on ', invited_date, ' after a delivery') as reason,
    order_id as survey_order_id

from {{ ref('int_survey_invitations') }}

where is_open
