-- Segments are listed best first (var rfm_grids).
select
    customers.customer_id,
    concat(
        history.rfm_segment, ' at the end of last month, ', customers.rfm_segment, ' today (RFM ',
        100 * history.r_score + 10 * history.f_score + history.m_score, ', now ',
        customers.rfm_code, ')'
    ) as reason,
    customers.rfm_segment,
    history.rfm_segment as previous_rfm_segment

from {{ ref('dim_customers') }} as customers

inner join {{ ref('fct_rfm_history') }} as history
    on
        customers.customer_id = history.customer_id
        and history.as_of_date = {{ add_days(month_of(as_of()), -1) }}

where
    {{ rfm_segment_place('customers.rfm_segment') }}
    > {{ rfm_segment_place('history.rfm_segment') }}
