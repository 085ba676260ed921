with

lines as (

    select * from {{ ref('stg_shop__order_lines') }}

),

lines_after_as_of as (

    select * from {{ source('raw', 'order_lines') }}

    where ordered_date > {{ as_of() }}

),

descriptions as (

    select * from {{ ref('data_quality_rules') }}

),

judged as (

    select
        source,
        coalesce(
            excluded_by, case when customer_id is null then 'guest_' else '' end || line_kind
        ) as rule,
        order_id,
        gross_amount

    from lines

    union all

    select
        source,
        'after_as_of' as rule,
        order_id,
        gross_amount

    from lines_after_as_of

),

counts as (

    select
        source,
        rule,
        count(*) as row_count,
        count(distinct order_id) as order_count,
        cast(coalesce(sum(gross_amount), 0) as decimal(18, 4)) as amount

    from judged

    group by 1, 2

),

final as (

    select
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
