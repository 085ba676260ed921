with

source as (

    select * from {{ source('raw', 'order_lines') }}

),

rules as (

    {{ rules_by_source() }}

),

lines_with_rules as (

    select
        source.*,
        rules.cancellation_prefix,
        rules.excluded_order_prefixes,
        rules.excluded_order_statuses,
        rules.non_product_skus,
        rules.non_product_sku_prefixes,
        coalesce(rules.has_write_offs, false) as has_write_offs,
        coalesce(rules.has_upper_skus, false) as has_upper_skus,
        trim(source.sku) as trimmed_sku,
        substr(source.order_id, length(source.source) + 2) as order_key

    from source

    left join rules
        on source.source = rules.source

    where source.ordered_date <= {{ as_of() }}

),

classified as (

    select
        *,
        coalesce(starts_with(order_key, cancellation_prefix), false) as is_cancellation

    from lines_with_rules

),

final as (

    select
        load_number,
        order_id,
        line_id,
        source,
        customer_id,
        email_key,
        phone_key,
        nullif(trim(email), '') as email,
        nullif(trim(phone), '') as phone,
        address_key,
        ordered_at,
        ordered_date,
        case when has_upper_skus then upper(trimmed_sku) else trimmed_sku end as sku,
        nullif(trim(product_name), '') as product_name,
        nullif(trim(category), '') as category,
        quantity,
        unit_price,
        gross_amount,
        coalesce(discount_amount, 0) as discount_amount,
        upper(trim(currency)) as currency,
        country,
        delivered_at,
        upper(nullif(trim(discount_code), '')) as discount_code,
        case
            when {{ is_in_the_future('ordered_at', 'file_modified_at') }} then 'in_the_future'
            when {{ starts_with_any('order_key', 'excluded_order_prefixes') }}
                then 'excluded_order_prefix'
            when {{ is_among('order_status', 'excluded_order_statuses') }}
                then 'excluded_order_statuses'
            when has_write_offs and quantity < 0 and gross_amount = 0 and not is_cancellation
                then 'write_off_without_price'
            when {{ is_among('trimmed_sku', 'non_product_skus') }} then 'non_product_skus'
            when {{ starts_with_any('trimmed_sku', 'non_product_sku_prefixes') }}
                then 'non_product_sku_prefixes'
            when gross_amount = 0 then 'zero_price'
        end as excluded_by,
        case
            when is_cancellation then 'cancellation'
            when gross_amount < 0 then 'return'
            else 'sale'
        end as line_kind

    from classified

)

select * from final
