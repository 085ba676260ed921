-- Phone numbers that are not in E.164 yet.
select distinct
    phone,
    region
from incoming
where
    phone is not null
    and phone_key is null;
