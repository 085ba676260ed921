-- All that the people are known by; the nodes of the identity graph are hashes of the same.
with

known as (
    select
        'platform_id' as kind,
        customer_id as value
    from person_accounts
    union
    select
        'email' as kind,
        email_key as value
    from person_emails
    union
    select
        'phone' as kind,
        phone_key as value
    from person_phones
)

select
    kind,
    value
from known
union
select
    'identity' as kind,
    md5(kind || ':' || value) as value
from known
order by
    kind,
    value
