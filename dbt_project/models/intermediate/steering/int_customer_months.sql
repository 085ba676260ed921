-- What everybody bought month by month: what the monthly figures and the tiers start from. Nothing
-- of it depends on other customers or on the as-of day, so only customers whose orders changed are
-- computed anew.
-- depends_on: {{ ref('fct_order_lines') }}
with

documents as (

    select
        order_id,
        nullif(trim(acquisition_source), '') as acquisition_source,
        len(discount_codes) > 0 as has_code

    from {{ ref('stg_shop__orders') }}

),

orders as (

    select
        orders.customer_id,
        {{ month_of('orders.ordered_date') }} as month,
        orders.is_counted,
        orders.is_first_order,
        orders.net_amount,
        orders.margin_amount,
        orders.discount_amount,
        orders.country,
        documents.acquisition_source,
        documents.has_code

    from {{ ref('fct_orders') }} as orders

    left join documents
        on orders.order_id = documents.order_id

    where
        orders.customer_id is not null
        and {{ is_customer_changed('orders.customer_id') }}

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
