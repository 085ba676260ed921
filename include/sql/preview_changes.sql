-- What a destination lacks (`wanted`) and holds (`held`), by member and fingerprint, in counts. Nothing
-- changes at one that the audience goes to no more.
select
    count(wanted.member_key) as desired,
    count(held.member_key) as held,
    count(*) filter ($is_declared and held.member_key is null) as adds,
    count(*) filter (
        $is_declared and $carries_fields and wanted.fingerprint <> held.fingerprint
    ) as updates,
    count(*) filter ($is_declared and wanted.member_key is null) as removes
from wanted
full join (
    select * from held where status in ('held', 'unknown')
) as held on wanted.member_key = held.member_key
