insert into mentions by name
select distinct
    customer_id,
    email,
    lower(nfc_normalize(trim(email, E' \t\r\n'))) as email_key,
    phone,
    phone_key
from published_contacts;
