-- What was seen together: a customer's id, an address, a number.
create or replace temp table mentions (
    customer_id varchar,
    email varchar,
    email_key varchar,
    phone varchar,
    phone_key varchar
);

create or replace temp view no_identities as
select
    null::varchar as identifier_kind,
    null::varchar as identifier,
    null::uuid as identifier_key,
    null::varchar as customer_id
where false;
