{#- Connected components, as the table expression `<name>` after others of a `with`: per node of the
    table `pairs` (node, neighbour; each pair in both directions) the least node it is connected to.

    Every round hands the least root known on to the neighbours, in plain joins over all pairs that
    any engine runs. What is too long to settle in so many rounds keeps several roots: then the two
    ends of some pair differ. -#}
{% macro connected_components(name, pairs, rounds) -%}
{{ name }}_reach as (

    select
        node,
        neighbour
    from {{ pairs }}

    union all

    select distinct
        node,
        node as neighbour
    from {{ pairs }}

),

{{ name }}_round_1 as (

    select
        node,
        min(neighbour) as root

    from {{ name }}_reach

    group by node

),

{% for round in range(2, rounds + 1) -%}
{{ name }}_round_{{ round }} as (

    select
        reach.node,
        min(nearer.root) as root

    from {{ name }}_reach as reach

    inner join {{ name }}_round_{{ round - 1 }} as nearer
        on reach.neighbour = nearer.node

    group by reach.node

),

{% endfor -%}
{{ name }} as (

    select * from {{ name }}_round_{{ rounds }}

)
{%- endmacro %}

{#- Components that join more people than they may, or are too long to settle, as the table expression
    `<name>` (root, people_count). `pairs` says which of its nodes are people (is_person). -#}
{% macro crowds(name, pairs, components, most_people) -%}
{{ name }} as (

    select
        components.root,
        count(distinct case when pairs.is_person then pairs.node end) as people_count

    from {{ pairs }} as pairs

    inner join {{ components }} as components
        on pairs.node = components.node

    inner join {{ components }} as other_ends
        on pairs.neighbour = other_ends.node

    group by components.root

    having
        count(distinct case when pairs.is_person then pairs.node end) > {{ most_people }}
        or bool_or(components.root != other_ends.root)

)
{%- endmacro %}
