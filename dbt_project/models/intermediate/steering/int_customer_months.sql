-- What everybody bought month by month: what the monthly figures and the tiers start from. Nothing
-- of it depends on other customers or on the as-of day, so only customers whose orders changed are
-- computed anew.
with

chosen_orders as (

    select * from {{ ref('fct_orders') }}

    where
        customer_id is not null
        and {{ is_customer_changed() }}

),

orders as (

    {{ orders_with_months('chosen_orders') }}

),

months as (

    select
        customer_id,
        month,
        {{ monthly_sums() }},
        coalesce(bool_or(is_first_order), false) as has_first_order,
        max(case when is_first_order then country end) as country,
        max(case when is_first_order then acquisition_source end) as acquisition_source

    from orders

    group by customer_id, month

),

final as (

    select
        *,
        case
            when order_count > 0
                then lead(month) over (partition by customer_id, order_count > 0 order by month)
        end as next_month

    from months

)

select * from final
