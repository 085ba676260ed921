-- Who has come into an audience since its journey was first heard of and has not been sent into it: at
-- most once for each time of coming in. Only whom Mailchimp may write to, at the address it knows.
select
    held.identity,
    strftime(held.since, '%Y-%m-%dT%H:%M:%S.%f') as entered_at,
    -- customers may share an address, and write it in several ways
    min(trim(contacts.email)) as email
from held
inner join contacts
    on
        held.customer_id = contacts.customer_id
        and held.identity = md5(lower(trim(contacts.email)))
inner join statuses on held.identity_key = statuses.identity_key
left join claimed
    on held.identity = claimed.identity
    and strftime(held.since, '%Y-%m-%dT%H:%M:%S.%f') = claimed.entered_at
where
    held.status = 'held'
    and held.since > $since
    and contacts.has_email_consent
    and contacts.suppressed_reason is null
    and statuses.is_reachable
    and claimed.identity is null
group by held.identity, held.since
order by entered_at, held.identity
