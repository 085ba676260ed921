-- The values of one column that have a tombstone.
select distinct value
from (select distinct {value} as value from {table})
where
    value is not null
    and tombstone_of($kind, value) in (select hash from tombstones)
