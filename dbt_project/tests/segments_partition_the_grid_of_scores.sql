-- Every cell of the grid has one segment, and in the grids that are shipped the published one. Both
-- have the same shape; FM is the mean of F and M, halves rounded up.
{% set is_shipped = var('rfm_grid') in ['recency_frequency', 'recency_value'] %}
{% set has_mean = rfm_second_axis(rfm_grid()) == 'fm' %}

with

places as (

    select *

    from (
        values
        (5, [4, 3, 3, 1, 1]),
        (4, [5, 3, 3, 2, 2]),
        (3, [7, 7, 6, 2, 2]),
        (2, [10, 10, 8, 8, 9]),
        (1, [10, 10, 8, 8, 9])
    ) as rows(r_score, places)

),

cells as (

    select
        places.r_score,
        f_scores.number as f_score,
        m_scores.number as m_score,
        places.places[{{ '(f_scores.number + m_scores.number + 1) // 2' if has_mean else 'f_scores.number' }}]
            as expected_place,
        {{ rfm_segment('places.r_score', 'f_scores.number', 'm_scores.number') }} as rfm_segment

    from places

    cross join {{ numbers_up_to(5) | replace('numbers', 'f_scores') }}

    cross join {{ numbers_up_to(5) | replace('numbers', 'm_scores') }}

    where
        f_scores.number > 0
        and m_scores.number > 0

)

select *

from cells

where
    rfm_segment is null
    or ({{ is_shipped }} and {{ rfm_segment_place('rfm_segment') }} != expected_place)
