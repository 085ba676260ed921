-- The counts of a source add up to its raw rows, and every rule is explained.
with

raw_rows as (

    select
        source,
        count(*) as row_count

    from {{ source('raw', 'order_lines') }}

    group by source

),

judged_rows as (

    select
        source,
        sum(row_count) as row_count

    from {{ ref('fct_data_quality') }}

    group by source

)

select
    raw_rows.source,
    raw_rows.row_count,
    judged_rows.row_count as judged_row_count

from raw_rows

left join judged_rows
    on raw_rows.source = judged_rows.source

where raw_rows.row_count is distinct from judged_rows.row_count
