with

months as (

    select
        month,
        customers_at_start,
        lag(customers_at_end, 1, 0) over (order by month) as customers_at_last_end

    from {{ ref('fct_monthly_kpis') }}

)

select *

from months

where customers_at_start != customers_at_last_end
