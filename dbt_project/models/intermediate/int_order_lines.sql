-- All that sources sent as flat lines or inside of documents, in one shape: what was sold, and what
-- was given back as a line of its own. Amounts are in the reporting currency, people are resolved.
-- depends_on: {{ ref('int_order_changes') }}

with

flat_lines as (

    select * from {{ ref('stg_shop__order_lines') }}

    {{ where_changed() }}

),

orders as (

    select * from {{ ref('stg_shop__orders') }}

    {{ where_changed() }}

),

document_lines as (

    select * from {{ ref('stg_shop__document_lines') }}

    {{ where_changed() }}

),

refunds as (

    select * from {{ ref('stg_shop__refunds') }}

    {{ where_changed() }}

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

-- A cancelled order is taken back whole: what was refunded of it says only what had been paid.
children as (

    select
        order_id,
        line_id,
        'order_lines' as records,
        'sale' as line_kind,
        sku,
        product_name,
        category,
        quantity,
        unit_price,
        gross_amount,
        discount_amount,
        excluded_by,
        is_cancelled
    from document_lines

    union all

    select
        order_id,
        'cancelled:' || line_id as line_id,
        null as records,
        'return' as line_kind,
        sku,
        product_name,
        category,
        -quantity as quantity,
        unit_price,
        -gross_amount as gross_amount,
        -discount_amount as discount_amount,
        excluded_by,
        is_cancelled
    from document_lines
    where is_cancelled

    union all

    select
        order_id,
        concat_ws(':', 'refund', refund_id, refund_kind, line_id) as line_id,
        'refunds' as records,
        'return' as line_kind,
        sku,
        product_name,
        category,
        -quantity as quantity,
        unit_price,
        -amount as gross_amount,
        0 as discount_amount,
        excluded_by,
        false as is_cancelled
    from refunds

),

lines as (

    select
        order_id,
        line_id,
        source,
        'order_lines' as records,
        customer_id,
        email_key,
        phone_key,
        ordered_at,
        ordered_date,
        line_kind,
        sku,
        product_name,
        category,
        quantity,
        unit_price,
        gross_amount,
        discount_amount,
        currency,
        country,
        excluded_by,
        false as is_cancelled
    from flat_lines

    union all

    select
        children.order_id,
        children.line_id,
        orders.source,
        children.records,
        orders.customer_id,
        orders.email_key,
        orders.phone_key,
        orders.ordered_at,
        orders.ordered_date,
        children.line_kind,
        children.sku,
        children.product_name,
        children.category,
        children.quantity,
        children.unit_price,
        children.gross_amount,
        children.discount_amount,
        orders.currency,
        orders.country,
        children.excluded_by,
        children.is_cancelled
    from children
    inner join orders
        on children.order_id = orders.order_id

),

rates as (

    select * from {{ ref('int_exchange_rates') }}

),

resolved as (

    select
        lines.order_id,
        lines.line_id,
        lines.source,
        lines.records,
        {{ resolved_customer_id('lines') }} as customer_id,
        lines.ordered_at,
        lines.ordered_date,
        lines.line_kind,
        lines.sku,
        lines.product_name,
        lines.category,
        lines.quantity,
        lines.unit_price,
        {{ in_reporting_currency('lines.gross_amount', 'rates.exchange_rate') }} as gross_amount,
        {{ in_reporting_currency('lines.discount_amount', 'rates.exchange_rate') }}
            as discount_amount,
        {{ reporting_currency('lines.currency') }} as currency,
        {{ exchange_rate('rates.exchange_rate') }} as exchange_rate,
        cast(lines.gross_amount - lines.discount_amount as decimal(18, 4))
            as order_currency_net_amount,
        lines.currency as order_currency,
        lines.country,
        coalesce(
            lines.excluded_by,
            case when {{ exchange_rate('rates.exchange_rate') }} is null then 'missing_rate' end
        ) as excluded_by,
        lines.is_cancelled

    from lines

    {{ identity_joins('lines') }}

    left join rates
        on
            lines.currency = rates.currency
            and lines.ordered_date = rates.ordered_date

)

select * from resolved
