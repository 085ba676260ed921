-- Whoever was erased has no address any more, whatever an older snapshot still knows.
alter view contacts rename to contacts_with_erased;

create view contacts as
select *
from contacts_with_erased
where
    tombstone_of('platform_id', customer_id) not in (select hash from tombstones)
    and coalesce(
        tombstone_of('email', lower(nfc_normalize(trim(email, E' \t\r\n'))))
        not in (select hash from tombstones),
        true
    )
    and coalesce(tombstone_of('phone', phone_key) not in (select hash from tombstones), true)
