-- The contacts a plan is about, for the destination to normalise and hash.
create view contacts as
select all_contacts.*
from all_contacts
where all_contacts.customer_id in (
    select plan.customer_id from plan where plan.batch_number is not null
)
