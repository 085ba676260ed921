-- To be helped, not to be sold to.
select
    customer_id,
    concat('complained on ', since_date) as reason,
    since_date as detractor_since_date

from {{ ref('int_detractors') }}

where is_detractor_open
