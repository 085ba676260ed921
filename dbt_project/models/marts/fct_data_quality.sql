with

-- No record tells of the taking back of a cancelled order.
lines as (

    select * from {{ ref('int_order_lines') }}

    where not (is_cancelled and line_kind = 'return')

),

lines_after_as_of as (

    select * from {{ source('raw', 'order_lines') }}

    where ordered_date > {{ as_of() }}

),

orders as (

    select * from {{ ref('fct_orders') }}

),

documents as (

    select * from {{ ref('stg_shop__orders') }}

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

    where is_refused

),

descriptions as (

    select * from {{ ref('data_quality_rules') }}

),

judged as (

    select
        case when is_refund then 'refunds' else 'order_lines' end as records,
        source,
        case
            when excluded_by is not null then excluded_by
            when is_cancelled then 'cancelled_order'
            when customer_id is null then 'guest_' || line_kind
            else line_kind
        end as rule,
        order_id,
        gross_amount
    from lines

    union all

    select
        'order_lines' as records,
        source,
        case
            when {{ is_in_the_future('ordered_at', 'file_modified_at') }} then 'in_the_future'
            else 'after_as_of'
        end as rule,
        order_id,
        gross_amount
    from lines_after_as_of

    union all

    select
        'orders' as records,
        source,
        case when is_refund_only then 'refund_without_order' else 'refund_beyond_total' end as rule,
        order_id,
        refunded_amount as gross_amount
    from orders
    where
        is_refund_only
        or is_over_refunded

    union all

    select
        'orders' as records,
        source,
        'order_without_lines' as rule,
        order_id,
        null as gross_amount
    from documents
    where
        coalesce(len(lines), 0) = 0
        and excluded_by is null

    union all

    select
        'identifiers' as records,
        source,
        refused_reason as rule,
        null as order_id,
        null as gross_amount
    from identities

),

counts as (

    select
        records,
        source,
        rule,
        count(*) as row_count,
        count(distinct order_id) as order_count,
        cast(coalesce(sum(gross_amount), 0) as decimal(18, 4)) as amount

    from judged

    group by 1, 2, 3

),

final as (

    select
        counts.records,
        counts.source,
        counts.rule,
        descriptions.description,
        descriptions.is_kept,
        counts.row_count,
        counts.order_count,
        counts.amount

    from counts

    left join descriptions
        on counts.rule = descriptions.rule

)

select * from final
