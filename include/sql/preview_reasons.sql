-- Why members are in an audience, the most frequent reasons first: a figure is one person's, so it is
-- left out.
with reasons as (
    select regexp_replace(reason, '[0-9]+([.,:-][0-9]+)*', '#', 'g') as reason
    from audience_members
    where audience = $audience
)

select
    reason,
    count(*) as members
from reasons
group by reason
order by members desc, reason
limit $most
