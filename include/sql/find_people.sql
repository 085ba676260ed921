-- From what requests name (`identifiers`) to all that these people are known by: `person_accounts`,
-- `person_emails`, `person_phones`, `person_hashes`.
create or replace temp table person_graph as
select other.*
from (
    select distinct graph.customer_id
    from {graph} as graph
    inner join identifiers
        on graph.identifier_key = md5(identifiers.kind || ':' || identifiers.value)::uuid
    where graph.customer_id is not null
    union
    select value
    from identifiers
    where kind = 'platform_id'
) as own
inner join {graph} as other
    on own.customer_id = other.customer_id;

create or replace temp table person_accounts as
select value as customer_id
from identifiers
where kind = 'platform_id'
union
select customer_id
from person_graph
union
select identifier
from person_graph
where identifier_kind = 'platform_id'
union
select customer_id
from mentions
where
    customer_id is not null
    and email_key in (select value from identifiers where kind = 'email')
union
select customer_id
from mentions
where
    customer_id is not null
    and phone_key in (select value from identifiers where kind = 'phone')
    and not exists (select 1 from identifiers where kind in ('email', 'platform_id'));

create or replace temp table person_emails as
select value as email_key
from identifiers
where kind = 'email'
union
select email_key
from mentions
where
    email_key is not null
    and customer_id in (select customer_id from person_accounts)
union
select mentions.email_key
from mentions
inner join person_graph
    on md5('email:' || mentions.email_key)::uuid = person_graph.identifier_key;

create or replace temp table person_phones as
with

seen as (
    select
        phone_key,
        coalesce(customer_id in (select customer_id from person_accounts), false)
        or coalesce(email_key in (select email_key from person_emails), false) as is_own,
        customer_id is not null or email_key is not null as is_somebodys
    from mentions
    where phone_key is not null
)

select value as phone_key
from identifiers
where kind = 'phone'
union
select phone_key
from seen
group by phone_key
having bool_or(is_own) and not bool_or(is_somebodys and not is_own);
