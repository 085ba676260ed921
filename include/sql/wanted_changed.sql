-- The changed members who are wanted: picked out once, and before anything is joined with all others.
-- Picked by a list that is itself picked from (`is_wanted`), DuckDB leaves the others out while it reads,
-- before it decodes the rest of their columns; so do the statements that follow.
create temp table wanted_changed as
select customer_id, member_key, fingerprint
from wanted
where member_key in (select changed.member_key from changed where changed.is_wanted)
