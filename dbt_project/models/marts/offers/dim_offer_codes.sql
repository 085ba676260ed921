-- Remembers what was issued, like the table of those who are held out: a code in a customer's hands
-- stays theirs, whatever becomes of the audience, of the offer's terms or of the secret.
with

declared as (

    {{ declared_offers() }}

),

members as (

    select * from {{ ref('audience_members') }}

),

held_out as (

    select * from {{ ref('held_out') }}

),

customers as (

    select * from {{ ref('dim_customers') }}

),

former_ids as (

    {{ former_customer_ids() }}

),

previously_issued as (

    {{ previous_build(
        has_previous_build(),
        {
            'offer_id': 'varchar',
            'audience': 'varchar',
            'offer_name': 'varchar',
            'customer_id': 'varchar',
            'entered_at': 'timestamp',
            'issued_date': 'date',
            'ends_on': 'date',
            'percent': 'decimal(18, 4)',
            'amount': 'decimal(18, 4)',
            'currency': 'varchar',
            'minimum_spend': 'decimal(18, 4)',
            'code': 'varchar'
        }
    ) }}

),

-- Erased customers are forgotten here too.
issued as (

    select
        previously_issued.* exclude (customer_id),
        customers.customer_id

    from previously_issued

    left join former_ids
        on previously_issued.customer_id = former_ids.former_id

    inner join customers
        on coalesce(former_ids.customer_id, previously_issued.customer_id) = customers.customer_id

),

entitled as (

    select
        {{ json_text('members.payload', 'coupon_code') }} as offer_id,
        members.audience,
        members.customer_id,
        members.entered_at,
        declared.offer_name,
        declared.percent,
        declared.amount,
        declared.currency,
        declared.minimum_spend,
        declared.valid_days

    from members

    inner join declared
        on members.audience = declared.audience

    left join held_out
        on
            members.audience = held_out.audience
            and members.customer_id = held_out.customer_id

    where held_out.customer_id is null

),

newly_entitled as (

    select
        entitled.*,
        {{ hmac_sha256("'offer:' || entitled.offer_id") }} as digits

    from entitled

    left join issued
        on entitled.offer_id = issued.offer_id

    where issued.offer_id is null

),

final as (

    select
        issued.offer_id,
        issued.audience,
        issued.offer_name,
        issued.customer_id,
        issued.entered_at,
        issued.issued_date,
        issued.ends_on,
        issued.percent,
        issued.amount,
        issued.currency,
        issued.minimum_spend,
        issued.code,
        entitled.offer_id is not null as is_held
    from issued
    left join entitled
        on issued.offer_id = entitled.offer_id

    union all

    select
        offer_id,
        audience,
        offer_name,
        customer_id,
        entered_at,
        {{ as_of() }} as issued_date,
        {{ add_days(as_of(), 'valid_days') }} as ends_on,
        percent,
        amount,
        currency,
        minimum_spend,
        {{ code_of('digits') }} as code,
        true as is_held
    from newly_entitled

)

select * from final
