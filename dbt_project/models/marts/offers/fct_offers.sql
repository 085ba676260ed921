with

offers as (

    select * from {{ ref('dim_offer_codes') }}

    where issued_date <= {{ as_of() }}

),

codes as (

    select * from {{ ref('int_order_codes') }}

),

orders as not materialized (

    select * from {{ ref('fct_orders') }}

    where not is_refund_only

),

-- A code is good once: of several orders with it the first one counts.
redemptions as (

    select
        offers.offer_id,
        min(orders.ordered_at) as redeemed_at,
        arg_min(orders.order_id, cast(orders.ordered_at as varchar) || orders.order_id)
            as redeemed_order_id

    from offers

    inner join codes
        on offers.code = codes.code

    inner join orders
        on codes.order_id = orders.order_id

    group by offers.offer_id

),

final as (

    select
        offers.offer_id,
        offers.audience,
        offers.offer_name,
        offers.customer_id,
        offers.issued_date,
        offers.ends_on,
        offers.percent,
        offers.amount,
        offers.currency,
        offers.minimum_spend,
        offers.is_held,
        case
            when redemptions.offer_id is not null then 'redeemed'
            when offers.ends_on < {{ as_of() }} then 'expired'
            else 'open'
        end as offer_state,
        redemptions.redeemed_at,
        redemptions.redeemed_order_id,
        orders.customer_id as redeemed_by_customer_id,
        orders.is_first_order,
        orders.discount_amount,
        orders.net_amount

    from offers

    left join redemptions
        on offers.offer_id = redemptions.offer_id

    left join orders
        on redemptions.redeemed_order_id = orders.order_id

)

select * from final
