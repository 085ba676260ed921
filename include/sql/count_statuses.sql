-- How many contacts have each status at the destination.
select
    status,
    count(*) as contacts
from statuses
group by status
order by status
