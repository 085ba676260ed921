-- All contacts, for the destination to normalise and hash.
create view contacts as
select *
from all_contacts
