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
times_told as (

    select false as is_taken_back
    union all
    select true as is_taken_back

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
        document_lines.order_id,
        case
            when times_told.is_taken_back then 'cancelled:' || document_lines.line_id
            else document_lines.line_id
        end as line_id,
        document_lines.source,
        case when not times_told.is_taken_back then 'order_lines' end as records,
        document_lines.customer_id,
        document_lines.email_key,
        document_lines.phone_key,
        document_lines.ordered_at,
        document_lines.ordered_date,
        case when times_told.is_taken_back then 'return' else 'sale' end as line_kind,
        document_lines.sku,
        document_lines.product_name,
        document_lines.category,
        case
            when times_told.is_taken_back then -document_lines.quantity
            else document_lines.quantity
        end as quantity,
        document_lines.unit_price,
        case
            when times_told.is_taken_back then -document_lines.gross_amount
            else document_lines.gross_amount
        end as gross_amount,
        case
            when times_told.is_taken_back then -document_lines.discount_amount
            else document_lines.discount_amount
        end as discount_amount,
        document_lines.currency,
        document_lines.country,
        document_lines.excluded_by,
        document_lines.is_cancelled
    from document_lines
    inner join times_told
        on not times_told.is_taken_back or document_lines.is_cancelled

    union all

    select
        refunds.order_id,
        concat_ws(':', 'refund', refunds.refund_id, refunds.refund_kind, refunds.line_id)
            as line_id,
        orders.source,
        'refunds' as records,
        orders.customer_id,
        orders.email_key,
        orders.phone_key,
        orders.ordered_at,
        orders.ordered_date,
        'return' as line_kind,
        refunds.sku,
        refunds.product_name,
        refunds.category,
        -refunds.quantity as quantity,
        refunds.unit_price,
        -refunds.amount as gross_amount,
        0 as discount_amount,
        orders.currency,
        orders.country,
        refunds.excluded_by,
        false as is_cancelled
    from refunds
    inner join orders
        on refunds.order_id = orders.order_id

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
