insert into mentions by name
select distinct
    customer_id,
    email,
    email_key,
    phone,
    phone_key
from {table};
