-- How many records arrived in more than one version. Two keys with one hash would only be counted
-- too many, which costs time and no row.
select count(*) - count(distinct hash({key})) as repeats
from incoming;
