-- The tombstones that the warehouse agrees with.
select
    generation,
    erasure_id
from raw.erasures
