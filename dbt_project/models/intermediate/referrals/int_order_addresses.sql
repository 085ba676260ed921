-- A view: of all orders, those of advocates and their friends are looked up.
with

documents as (

    select * from {{ ref('stg_shop__orders') }}

    where address_key is not null

),

lines as (

    select * from {{ ref('stg_shop__order_lines') }}

    where address_key is not null

),

final as (

    select
        order_id,
        address_key
    from documents

    union all

    select
        order_id,
        address_key
    from lines

)

select * from final
