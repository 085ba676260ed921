-- What any record says of a person, told apart no further than by the record: who it is about is
-- settled afterwards, by what the records have in common.
with

contacts as (

    select * from {{ ref('stg_shop__contacts') }}

),

orders as (

    select * from {{ ref('stg_shop__orders') }}

    where excluded_by is null

),

lines as (

    select * from {{ ref('stg_shop__order_lines') }}

),

changes as (

    select * from {{ ref('stg_shop__consents') }}

),

final as (

    select
        source,
        'contact' as told_by,
        updated_at as told_at,
        customer_id,
        email_key,
        phone_key,
        email,
        phone,
        first_name,
        last_name,
        country,
        language,
        birthday
    from contacts

    union all

    select
        source,
        'order' as told_by,
        ordered_at as told_at,
        customer_id,
        email_key,
        phone_key,
        email,
        phone,
        first_name,
        last_name,
        country,
        null as language,
        null as birthday
    from orders

    union all

    select
        source,
        'order' as told_by,
        ordered_at as told_at,
        customer_id,
        email_key,
        phone_key,
        email,
        phone,
        null as first_name,
        null as last_name,
        country,
        null as language,
        null as birthday
    from lines

    union all

    select
        source,
        'consent' as told_by,
        changed_at as told_at,
        customer_id,
        email_key,
        phone_key,
        email,
        phone,
        null as first_name,
        null as last_name,
        null as country,
        null as language,
        null as birthday
    from changes

)

select * from final
