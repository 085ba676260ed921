-- All that sources sent as flat lines or inside of documents, in one shape: what was sold, and what
-- was given back as a line of its own. Amounts are in the reporting currency, people are resolved,
-- products and their cost are known. Written once: what counts of it is a view.
-- depends_on: {{ ref('int_order_changes') }}

with

-- Numbered by what the number takes and nothing else, because a window holds all that passes
-- through it.
line_numbers as (

    select
        load_number,
        row_number() over (
            partition by order_id order by excluded_by is not null asc, line_id asc
        ) as line_number

    from {{ ref('stg_shop__order_lines') }}

    {{ where_changed() }}

),

flat_lines as (

    select
        lines.*,
        line_numbers.line_number

    from {{ ref('stg_shop__order_lines') }} as lines

    inner join line_numbers
        on lines.load_number = line_numbers.load_number

    {{ where_changed() }}

),

document_lines as (

    select * from {{ ref('stg_shop__document_lines') }}

    {{ where_changed() }}

),

cancelled_lines as (

    select * from {{ ref('stg_shop__document_lines') }}

    where is_cancelled {{ where_changed('and') }}

),

refunds as (

    select * from {{ ref('stg_shop__refunds') }}

    {{ where_changed() }}

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

-- A cancelled order is taken back whole: what was refunded of it says only what had been paid.
lines as (

    select
        order_id,
        line_number,
        source,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        line_kind,
        false as is_refund,
        false as is_cancelled,
        sku,
        product_name,
        category,
        quantity,
        unit_price,
        gross_amount,
        discount_amount,
        currency,
        country,
        excluded_by
    from flat_lines

    union all

    select
        order_id,
        line_number,
        source,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        'sale' as line_kind,
        false as is_refund,
        is_cancelled,
        sku,
        product_name,
        category,
        quantity,
        unit_price,
        gross_amount,
        discount_amount,
        currency,
        country,
        excluded_by
    from document_lines

    union all

    select
        order_id,
        line_count + line_number as line_number,
        source,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        'return' as line_kind,
        false as is_refund,
        is_cancelled,
        sku,
        product_name,
        category,
        -quantity as quantity,
        unit_price,
        -gross_amount as gross_amount,
        -discount_amount as discount_amount,
        currency,
        country,
        excluded_by
    from cancelled_lines

    union all

    select
        order_id,
        line_number,
        source,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        'return' as line_kind,
        true as is_refund,
        false as is_cancelled,
        sku,
        product_name,
        category,
        -quantity as quantity,
        unit_price,
        -amount as gross_amount,
        0 as discount_amount,
        currency,
        country,
        excluded_by
    from refunds

),

rates as (

    select * from {{ ref('int_exchange_rates') }}

),

products as (

    select * from {{ ref('stg_shop__products') }}

),

resolved as (

    select
        lines.order_id,
        lines.line_number,
        lines.source,
        {{ resolved_customer_id('lines') }} as customer_id,
        lines.ordered_at,
        lines.ordered_date,
        lines.line_kind,
        lines.is_refund,
        lines.is_cancelled,
        lines.sku,
        coalesce(lines.product_name, products.product_name) as product_name,
        coalesce(lines.category, products.category) as category,
        lines.quantity,
        lines.unit_price,
        {{ in_reporting_currency('lines.gross_amount', 'rates.exchange_rate') }} as gross_amount,
        {{ in_reporting_currency('lines.discount_amount', 'rates.exchange_rate') }}
            as discount_amount,
        cast(lines.gross_amount - lines.discount_amount as decimal(18, 4))
            as order_currency_net_amount,
        case
            when lines.sku is null and lines.line_kind = 'return' then 0
            when coalesce(products.currency, lines.currency) = lines.currency
                then
                    {{ in_reporting_currency(
                        multiplied('lines.quantity', 'products.unit_cost'),
                        'rates.exchange_rate'
                    ) }}
        end as cost_amount,
        lines.currency as order_currency,
        {{ exchange_rate('rates.exchange_rate') }} as exchange_rate,
        lines.country,
        coalesce(
            lines.excluded_by,
            case when {{ exchange_rate('rates.exchange_rate') }} is null then 'missing_rate' end
        ) as excluded_by

    from lines

    {{ identity_joins('lines') }}

    left join rates
        on
            lines.currency = rates.currency
            and lines.ordered_date = rates.ordered_date

    left join products
        on
            lines.source = products.source
            and lines.sku = products.sku

),

final as (

    select
        order_id,
        line_number,
        source,
        customer_id,
        ordered_at,
        ordered_date,
        line_kind,
        is_refund,
        is_cancelled,
        sku,
        product_name,
        category,
        quantity,
        unit_price,
        gross_amount,
        discount_amount,
        cast(gross_amount - discount_amount - cost_amount as decimal(18, 4)) as margin_amount,
        order_currency_net_amount,
        order_currency,
        exchange_rate,
        country,
        excluded_by

    from resolved

)

select * from final
