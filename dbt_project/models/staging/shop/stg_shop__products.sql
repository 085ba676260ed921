with

source as (

    select * from {{ source('raw', 'products') }}

),

sources_with_upper_skus as (

    select distinct source

    from {{ source('raw', 'source_rules') }}

    where
        rule = 'sku_case'
        and value = 'upper'

),

renamed as (

    select
        source.source,
        case
            when sources_with_upper_skus.source is null then trim(source.sku)
            else upper(trim(source.sku))
        end as sku,
        nullif(trim(source.product_name), '') as product_name,
        nullif(trim(source.category), '') as category,
        nullif(trim(source.department), '') as department,
        source.unit_cost,
        upper(trim(source.currency)) as currency,
        source.is_active,
        source.stock_quantity,
        source.created_at,
        source.deleted_at,
        source.updated_at,
        source.sku as sku_as_it_came

    from source

    left join sources_with_upper_skus
        on source.source = sources_with_upper_skus.source

    -- What a shop told of a deleted product, which its SKUs know by now.
    where
        source.sku not like 'product:%'
        and source.sku not like 'deleted:%'

),

-- Codes that differ in letter case or blanks only are one product: the newest row speaks for it.
newest as (

    select
        *,
        row_number() over (
            partition by source, sku order by updated_at desc nulls last, sku_as_it_came asc
        ) as version_number

    from renamed

),

final as (

    select
        source,
        sku,
        product_name,
        category,
        department,
        unit_cost,
        currency,
        coalesce(cast(deleted_at as date) <= {{ as_of() }}, false) as is_deleted,
        is_active,
        stock_quantity,
        cast(created_at as date) as created_date

    from newest

    where version_number = 1

)

select * from final
