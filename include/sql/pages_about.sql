-- The staged pages that are about one of `identifiers`.
select distinct page
from incoming
where {condition}
order by page
