-- The changed members who are wanted: picked out once, and before anything is joined with all others.
create temp table wanted_changed as
select customer_id, member_key, fingerprint
from wanted
where member_key in (select changed.member_key from changed)
