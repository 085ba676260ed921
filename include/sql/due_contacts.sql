-- The contacts behind the rows that are due, for the destination to normalise and hash.
create view contacts as
select all_contacts.*
from all_contacts
where
    all_contacts.customer_id in (
        -- everybody has an id; see `wanted_changed` for what the condition is good for
        select due.customer_id from due
        where due.customer_id <> ''
    )
