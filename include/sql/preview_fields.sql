-- The columns that an audience's own select carries, and what share of the members has them filled.
with

payloads as (
    select payload, json_keys(payload) as keys
    from audience_members
    where audience = $audience
),

fields as (
    select payload, unnest(keys) as field
    from payloads
)

select
    field,
    round(
        100 * count(nullif(json_extract_string(payload, '$."' || field || '"'), '')) / count(*), 1
    ) as filled_percent
from fields
group by field
order by field
