-- Of several products that are due, the one the customer spends most on.
select
    customer_id,
    concat(
        'bought on ', last_purchase_date, ', lasts ', gap_days, ' days'
    ) as reason,
    sku as replenish_sku,
    product_name as replenish_product,
    due_date as replenish_date

from {{ ref('fct_replenishments') }}

where
    is_due
    and is_offered

qualify row_number() over (
    partition by customer_id
    order by case gap_of when 'own' then 1 else 2 end, net_spend desc, due_date asc, sku asc
) = 1
