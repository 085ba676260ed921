{#- RFM: four cut points per measure divide the customers into the scores 1 to 5. `v > cut` counts, so
    equal values always share a score.

    rank: the score is least(5, 1 + floor(5 * (rank - 1) / n)) with RANK(). At least k of 5 customers
    stand below v exactly if v exceeds the value at position ceil(k * n / 5), which is what
    quantile_disc returns (with decimal, not floating, shares). Four values instead of a window over
    everybody.
    value_quantiles: the interpolated quantiles, bins (a, b]. -#}

{#- The four cut points of a measure of which more is better. -#}
{% macro cut_points(value) -%}
    {%- if var('rfm_method') == 'rank' -%}
        quantile_disc({{ value }}, [0.2, 0.4, 0.6, 0.8])
    {%- elif var('rfm_method') == 'value_quantiles' -%}
        quantile_cont(cast({{ value }} as double), [0.2, 0.4, 0.6, 0.8])
    {%- else -%}
        {{ exceptions.raise_compiler_error("rfm_method is rank or value_quantiles") }}
    {%- endif -%}
{%- endmacro %}

{#- The four cut points of days of silence, of which fewer is better. For ranks, the cut points of the
    negated days turned back: -days > -c is, in whole days, not days > c - 1. -#}
{% macro recency_cut_points(days) -%}
    {%- if var('rfm_method') == 'rank' -%}
        list_transform(
            quantile_disc(-{{ days }}, [0.8, 0.6, 0.4, 0.2]), lambda cut: -cut - 1
        )
    {%- else -%}
        {{ cut_points(days) }}
    {%- endif -%}
{%- endmacro %}

{#- How many of the four cut points a value exceeds. -#}
{% macro cuts_below(value, cuts) -%}
    (
        cast({{ value }} > {{ cuts }}[1] as integer)
        + cast({{ value }} > {{ cuts }}[2] as integer)
        + cast({{ value }} > {{ cuts }}[3] as integer)
        + cast({{ value }} > {{ cuts }}[4] as integer)
    )
{%- endmacro %}

{#- The score 1 to 5 of a measure of which more is better. -#}
{% macro score(value, cuts) -%}
    1 + {{ cuts_below(value, cuts) }}
{%- endmacro %}

{#- The score 1 to 5 of days of silence. -#}
{% macro recency_score(days, cuts) -%}
    5 - {{ cuts_below(days, cuts) }}
{%- endmacro %}

{#- The four cut points as columns of their own: joined to millions of rows, a list is copied to each. -#}
{% macro cut_columns(cuts, name) -%}
    {%- for number in range(1, 5) %}
        {{ cuts }}[{{ number }}] as {{ name }}_{{ number }}{{ "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#- How many of the cut points in such columns a value exceeds. -#}
{% macro cut_columns_below(value, name) -%}
    (
        cast({{ value }} > {{ name }}_1 as integer)
        + cast({{ value }} > {{ name }}_2 as integer)
        + cast({{ value }} > {{ name }}_3 as integer)
        + cast({{ value }} > {{ name }}_4 as integer)
    )
{%- endmacro %}

{#- The cut point below or above a score; null at the open ends. -#}
{% macro cut_at(cuts, number) -%}
    {{ cuts }}[{{ number }}]
{%- endmacro %}

{#- The segments of the grid in use (var rfm_grid), best first. Raises a compiler error that names the
    cell when they are no total partition of the 25 cells. -#}
{% macro rfm_grid() -%}
    {%- set name = var('rfm_grid') -%}
    {%- if name not in var('rfm_grids') -%}
        {{ exceptions.raise_compiler_error(
            "rfm_grid is " ~ name ~ "; rfm_grids has " ~ var('rfm_grids') | join(', ')
        ) }}
    {%- endif -%}
    {%- set grid = var('rfm_grids')[name] -%}
    {%- set axis = rfm_second_axis(grid) -%}
    {%- for r in range(1, 6) -%}
        {%- for second in range(1, 6) -%}
            {%- set names = [] -%}
            {%- for area in grid -%}
                {%- if area.r[0] <= r <= area.r[1] and area[axis][0] <= second <= area[axis][1] -%}
                    {%- do names.append(area.segment) -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if names | length != 1 -%}
                {{ exceptions.raise_compiler_error(
                    "rfm_grids." ~ name ~ ": the cell r " ~ r ~ ", " ~ axis ~ " " ~ second
                    ~ " is in " ~ (names | join(' and ') if names else 'no segment')
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(grid) }}
{%- endmacro %}

{#- What a grid has beside R: f, or fm, the mean of F and M. -#}
{% macro rfm_second_axis(grid) -%}
    {{ return('fm' if 'fm' in grid[0] else 'f') }}
{%- endmacro %}

{#- The named segment of three scores, by the grid in use. FM is (F + M) / 2, halves rounded up. -#}
{% macro rfm_segment(r_score, f_score, m_score) -%}
    {%- set grid = rfm_grid() -%}
    {%- set axis = rfm_second_axis(grid) -%}
    {%- set second -%}
        {%- if axis == 'fm' -%}
            floor(({{ f_score }} + {{ m_score }} + 1) / 2)
        {%- else -%}
            {{ f_score }}
        {%- endif -%}
    {%- endset -%}
    case
        {%- for area in grid %}
        when
            {{ r_score }} between {{ area.r[0] }} and {{ area.r[1] }}
            and {{ second }} between {{ area[axis][0] }} and {{ area[axis][1] }}
            then '{{ area.segment }}'
        {%- endfor %}
    end
{%- endmacro %}

{#- The place of a segment in the grid, 1 is best; null for no segment. -#}
{% macro rfm_segment_place(segment) -%}
    case {{ segment }}
        {%- for name in rfm_grid() | map(attribute='segment') | unique %}
        when '{{ name }}' then {{ loop.index }}
        {%- endfor %}
    end
{%- endmacro %}
