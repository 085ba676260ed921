with

order_codes as (

    select * from {{ ref('int_order_codes') }}

),

referral_codes as (

    select * from {{ ref('dim_referral_codes') }}

),

orders as (

    select * from {{ ref('fct_orders') }}

    where not is_refund_only

),

addresses as (

    select * from {{ ref('int_order_addresses') }}

),

contacts as (

    select
        customer_id,
        {{ mailbox_of('email') }} as mailbox,
        {{ digits_of('phone') }} as phone_digits

    from {{ ref('dim_contacts') }}

),

-- Of several advocates' codes on one order only one can have brought it.
referred as (

    select
        order_codes.order_id,
        arg_min(referral_codes.issued_to, order_codes.code) as issued_to,
        arg_min(referral_codes.customer_id, order_codes.code) as advocate_customer_id

    from order_codes

    inner join referral_codes
        on order_codes.code = referral_codes.code

    group by order_codes.order_id

),

-- Sent to where an order of the advocate's own had gone by then.
sent_to_advocates as (

    select distinct referred.order_id

    from referred

    inner join orders
        on referred.order_id = orders.order_id

    inner join addresses
        on referred.order_id = addresses.order_id

    inner join orders as orders_of_advocates
        on
            referred.advocate_customer_id = orders_of_advocates.customer_id
            and orders.order_id != orders_of_advocates.order_id
            and orders.ordered_at >= orders_of_advocates.ordered_at

    inner join addresses as addresses_of_advocates
        on
            orders_of_advocates.order_id = addresses_of_advocates.order_id
            and addresses.address_key = addresses_of_advocates.address_key

),

judged as (

    select
        orders.order_id,
        orders.ordered_at,
        orders.ordered_date,
        orders.net_amount,
        orders.customer_id as referred_customer_id,
        referred.advocate_customer_id,
        case
            when orders.customer_id = referred.issued_to then 'self_referral'
            when orders.customer_id = referred.advocate_customer_id then 'one_customer'
            when not orders.is_counted then 'order_cancelled'
            when orders.customer_id is null then 'unknown_customer'
            when not orders.is_first_order then 'ordered_before'
            when advocates.phone_digits = friends.phone_digits then 'shared_phone'
            when advocates.mailbox = friends.mailbox then 'similar_email'
            when sent_to_advocates.order_id is not null then 'shared_address'
        end as fraud_reason

    from referred

    inner join orders
        on referred.order_id = orders.order_id

    left join sent_to_advocates
        on referred.order_id = sent_to_advocates.order_id

    left join contacts as advocates
        on referred.advocate_customer_id = advocates.customer_id

    left join contacts as friends
        on orders.customer_id = friends.customer_id

),

capped as (

    select
        * exclude (fraud_reason),
        case
            when fraud_reason is not null then fraud_reason
            when
                row_number() over (
                    partition by
                        advocate_customer_id,
                        fraud_reason is null,
                        {{ month_of('ordered_date') }}
                    order by ordered_at, order_id
                ) > {{ var('referral_most_rewards_per_month') }}
                then 'too_many_rewards'
        end as fraud_reason

    from judged

),

final as (

    select
        order_id,
        ordered_date,
        advocate_customer_id,
        referred_customer_id,
        net_amount,
        case
            when fraud_reason is not null then 'refused'
            when
                {{ add_days('ordered_date', var('referral_reward_after_days')) }} > {{ as_of() }}
                then 'pending'
            else 'due'
        end as reward_state,
        fraud_reason,
        case
            when fraud_reason is null
                then {{ add_days('ordered_date', var('referral_reward_after_days')) }}
        end as reward_due_date,
        cast(
            case when fraud_reason is null then {{ var('referral_reward_amount') }} else 0 end
            as decimal(18, 4)
        ) as reward_amount

    from capped

)

select * from final
