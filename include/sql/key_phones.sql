-- `phone_keys` says what the numbers that can be read are in E.164.
update incoming
set phone_key = phone_keys.phone_key
from phone_keys
where
    incoming.phone_key is null
    and incoming.phone = phone_keys.phone
    and incoming.region is not distinct from phone_keys.region;
