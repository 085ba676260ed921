select
    page,
    count(*) as rows
from incoming
group by page;
