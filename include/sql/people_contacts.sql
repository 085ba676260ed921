-- The people's addresses and numbers as they were written.
select distinct
    customer_id,
    email,
    phone,
    phone_key,
    null::varchar as first_name,
    null::varchar as last_name,
    null::varchar as country,
    null::varchar as language
from mentions
where
    customer_id in (select customer_id from person_accounts)
    or email_key in (select email_key from person_emails)
    or phone_key in (select phone_key from person_phones)
union
select
    null as customer_id,
    email_key as email,
    null as phone,
    null as phone_key,
    null as first_name,
    null as last_name,
    null as country,
    null as language
from person_emails
