-- How many members of an audience are spoken to on each medium, and what keeps the others out.
select
    medium,
    decision,
    count(*) as members
from membership_decisions
where audience = $audience
group by medium, decision
order by
    medium desc,
    array_position(
        [
            'included', 'suppressed', 'no_consent', 'no_address', 'detractor', 'outranked',
            'capped', 'held_out'
        ],
        decision
    )
