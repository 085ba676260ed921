with

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

rules as (

    {{ rules_by_source() }}

),

lines as (

    select
        source,
        order_id,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        currency,
        country,
        is_tax_included,
        is_cancelled,
        excluded_by as order_excluded_by,
        len(lines) as line_count,
        {{ element_number('lines') }} as line_number,
        {{ each_element('lines') }} as line

    from orders

),

columns_of_lines as (

    select
        source,
        order_id,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        currency,
        country,
        is_cancelled,
        order_excluded_by,
        line_count,
        line_number,
        line.line_id,
        coalesce(nullif(trim(line.sku), ''), line.product_id) as trimmed_sku,
        nullif(trim(line.product_name), '') as product_name,
        nullif(trim(line.category), '') as category,
        line.quantity,
        line.unit_price,
        line.gross_amount as asked_amount,
        coalesce(line.discount_amount, 0) as asked_discount_amount,
        case when is_tax_included then coalesce(line.tax_amount, 0) else 0 end
            as contained_tax_amount

    from lines

),

lines_with_rules as (

    select
        columns_of_lines.*,
        rules.non_product_skus,
        rules.non_product_sku_prefixes,
        coalesce(rules.has_upper_skus, false) as has_upper_skus

    from columns_of_lines

    left join rules
        on columns_of_lines.source = rules.source

),

-- Tax is on what is paid, so the discount contains the same share of tax as the rest of the price.
without_tax as (

    select
        *,
        cast(asked_amount - asked_discount_amount - contained_tax_amount as decimal(18, 4))
            as net_amount,
        cast(
            round(
                asked_discount_amount * case
                    when asked_amount = asked_discount_amount then 1
                    else
                        1
                        - contained_tax_amount
                        / cast(asked_amount - asked_discount_amount as double)
                end,
                4
            ) as decimal(18, 4)
        ) as discount_amount

    from lines_with_rules

),

final as (

    select
        order_id,
        line_id,
        line_number,
        line_count,
        source,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        currency,
        country,
        case when has_upper_skus then upper(trimmed_sku) else trimmed_sku end as sku,
        product_name,
        category,
        quantity,
        unit_price,
        cast(net_amount + discount_amount as decimal(18, 4)) as gross_amount,
        discount_amount,
        is_cancelled,
        case
            when order_excluded_by is not null then order_excluded_by
            when {{ is_among('trimmed_sku', 'non_product_skus') }} then 'non_product_skus'
            when {{ starts_with_any('trimmed_sku', 'non_product_sku_prefixes') }}
                then 'non_product_sku_prefixes'
            when asked_amount = 0 then 'zero_price'
        end as excluded_by

    from without_tax

)

select * from final
