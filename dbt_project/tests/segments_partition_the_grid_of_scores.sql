-- The named segments are the published grid, cell by cell.
with

grid as (

    select *

    from (
        values
        (5, 'new_customers', 'potential_loyalists', 'potential_loyalists', 'champions', 'champions'),
        (
            4, 'promising', 'potential_loyalists', 'potential_loyalists', 'loyal_customers',
            'loyal_customers'
        ),
        (
            3, 'about_to_sleep', 'about_to_sleep', 'need_attention', 'loyal_customers',
            'loyal_customers'
        ),
        (2, 'hibernating', 'hibernating', 'at_risk', 'at_risk', 'cant_lose_them'),
        (1, 'hibernating', 'hibernating', 'at_risk', 'at_risk', 'cant_lose_them')
    ) as cells(r_score, f1, f2, f3, f4, f5)

),

named as (

    {%- for f_score in range(1, 6) %}

    select
        r_score,
        {{ f_score }} as f_score,
        f{{ f_score }} as expected_segment,
        {{ rfm_segment('r_score', f_score) }} as rfm_segment
    from grid

    {%- if not loop.last %}

    union all
    {%- endif %}

    {%- endfor %}

)

select *

from named

where rfm_segment is distinct from expected_segment
