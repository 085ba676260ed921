-- The counts of a source add up to its raw lines and refunds, flat or inside of documents, and every
-- rule is explained.
with

raw_rows as (

    select
        'order_lines' as records,
        source,
        count(*) as row_count
    from {{ source('raw', 'order_lines') }}
    group by source

    union all

    select
        'order_lines' as records,
        source,
        sum(len(lines)) as row_count
    from {{ source('raw', 'orders') }}
    group by source

    union all

    select
        'refunds' as records,
        source,
        sum(len(refunds)) as row_count
    from {{ source('raw', 'orders') }}
    group by source

),

raw_totals as (

    select
        records,
        source,
        sum(row_count) as row_count

    from raw_rows

    group by records, source

),

judged_rows as (

    select
        records,
        source,
        sum(row_count) as row_count

    from {{ ref('fct_data_quality') }}

    group by records, source

)

select
    raw_totals.records,
    raw_totals.source,
    raw_totals.row_count,
    judged_rows.row_count as judged_row_count

from raw_totals

left join judged_rows
    on
        raw_totals.records = judged_rows.records
        and raw_totals.source = judged_rows.source

where coalesce(raw_totals.row_count, 0) != coalesce(judged_rows.row_count, 0)
