-- A field that no column answers to would silently arrive empty at the destination.
with

fields as (

    {%- for audience in var('audiences') %}
    {%- for destination in audience.destinations %}
    {%- for field in destination.fields or [] %}

    select
        '{{ audience.name }}' as audience,
        '{{ field }}' as field

    union all

    {%- endfor %}
    {%- endfor %}
    {%- endfor %}

    select
        cast(null as varchar) as audience,
        cast(null as varchar) as field
    where false

),

members as (

    select * from {{ ref('audience_members') }}

)

select
    fields.audience,
    fields.field,
    count(*) as members

from fields

inner join members
    on fields.audience = members.audience

where not {{ has_key('members.payload', 'fields.field') }}

group by 1, 2
