-- What is sold, most often sold first. The number is short, so that millions of pairs need little
-- room; it changes from build to build, the key does not.
with

lines as (

    select * from {{ ref('fct_order_lines') }}

),

stg_products as (

    select * from {{ ref('stg_shop__products') }}

),

sold as (

    select
        source,
        sku,
        max(product_name) as product_name,
        max(category) as category,
        count(*) as line_count,
        max(ordered_date) as last_sold_date

    from lines

    where
        line_kind = 'sale'
        and sku is not null

    group by
        source,
        sku

),

-- A source keeps the newest state of its stock only: what came before is known from earlier
-- builds.
previous_build as (

    {{ previous_build(
        has_previous_build(),
        {
            'source': 'varchar',
            'sku': 'varchar',
            'last_out_of_stock_date': 'date',
            'back_in_stock_date': 'date',
        }
    ) }}

),

-- A previous build may have been for a later day: what it saw has not happened yet.
remembered as (

    select
        source,
        sku,
        case when last_out_of_stock_date <= {{ as_of() }} then last_out_of_stock_date end
            as last_out_of_stock_date,
        case when back_in_stock_date <= {{ as_of() }} then back_in_stock_date end
            as back_in_stock_date

    from previous_build

    where last_out_of_stock_date is not null

),

joined as (

    select
        coalesce(sold.source, stg_products.source) as source,
        coalesce(sold.sku, stg_products.sku) as sku,
        coalesce(stg_products.product_name, sold.product_name) as product_name,
        coalesce(stg_products.category, sold.category) as category,
        coalesce(sold.line_count, 0) as line_count,
        sold.last_sold_date,
        stg_products.stock_quantity,
        stg_products.created_date,
        remembered.last_out_of_stock_date as previous_out_of_stock_date,
        remembered.back_in_stock_date as previous_back_in_stock_date,
        not coalesce(stg_products.is_deleted, false)
        and coalesce(
            stg_products.is_active,
            sold.last_sold_date
            > {{ add_days(as_of(), -var('assumed_active_days')) }},
            false
        ) as is_active

    from sold

    full outer join stg_products
        on
            sold.source = stg_products.source
            and sold.sku = stg_products.sku

    left join remembered
        on
            coalesce(sold.source, stg_products.source) = remembered.source
            and coalesce(sold.sku, stg_products.sku) = remembered.sku

),

final as (

    select
        cast(
            row_number() over (order by line_count desc, source asc, sku asc) as integer
        ) as product_number,
        {{ product_key('source', 'sku') }} as product_key,
        source,
        sku,
        product_name,
        category,
        line_count,
        last_sold_date,
        created_date,
        stock_quantity,
        is_active and coalesce(stock_quantity > 0, true) as is_offered,
        case when stock_quantity <= 0 then {{ as_of() }} else previous_out_of_stock_date end
            as last_out_of_stock_date,
        case
            when stock_quantity <= 0 then null
            when previous_back_in_stock_date > previous_out_of_stock_date
                then previous_back_in_stock_date
            when previous_out_of_stock_date is not null then {{ as_of() }}
        end as back_in_stock_date

    from joined

)

select * from final
