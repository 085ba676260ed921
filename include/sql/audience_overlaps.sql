-- The audiences that share members with one audience, or, where none is named, with any: each with its
-- other, the most alike first.
with

sizes as (
    select audience, count(*) as member_count
    from audience_members
    group by audience
),

pairs as (
    select
        ours.audience,
        theirs.audience as other,
        count(*) as shared
    from audience_members as ours
    inner join audience_members as theirs
        on ours.customer_id = theirs.customer_id
        and ours.audience <> theirs.audience
        and ($audience is not null or ours.audience < theirs.audience)
    where ours.audience = coalesce($audience, ours.audience)
    group by ours.audience, theirs.audience
)

select
    pairs.audience,
    pairs.other,
    pairs.shared,
    round(100 * pairs.shared / sizes.member_count, 1) as percent,
    round(100 * pairs.shared / others.member_count, 1) as percent_of_other
from pairs
inner join sizes on pairs.audience = sizes.audience
inner join sizes as others on pairs.other = others.audience
order by
    pairs.shared / (sizes.member_count + others.member_count - pairs.shared) desc,
    pairs.audience,
    pairs.other
