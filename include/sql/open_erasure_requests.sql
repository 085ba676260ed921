-- Requests that came by a source; a fulfilled one is gone.
select
    request_id,
    customer_id,
    email_key,
    phone_key
from raw.erasure_requests
order by
    requested_at,
    request_id
