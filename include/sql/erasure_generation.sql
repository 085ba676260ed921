-- The tombstones that the warehouse agrees with.
select generation
from raw.erasures
