-- A view: it is scanned once for the offers and once for the referrals.
with

documents as (

    select * from {{ ref('stg_shop__orders') }}

    where excluded_by is null

),

lines as (

    select * from {{ ref('stg_shop__order_lines') }}

    where
        discount_code is not null
        and excluded_by is null

),

codes as (

    select
        order_id,
        {{ each_element('discount_codes') }} as code
    from documents

    union all

    select
        order_id,
        discount_code as code
    from lines

),

final as (

    select distinct
        order_id,
        code

    from codes

)

select * from final
