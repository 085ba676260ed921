-- The contacts behind the memberships that may change, for the destination to normalise and hash.
create view contacts as
select all_contacts.*
from all_contacts
where
    all_contacts.customer_id in (
        -- everybody has an id; see `wanted_changed` for what the condition is good for
        select wanted_changed.customer_id from wanted_changed
        where wanted_changed.customer_id <> ''
    )
