-- Contacts as a destination's own SQL expects them.
create or replace temp table contacts as
select
    false as has_email_consent,
    false as has_ads_consent,
    false as has_sms_consent,
    unnest(
    $contacts::struct(
        customer_id varchar,
        email varchar,
        phone varchar,
        phone_key varchar,
        first_name varchar,
        last_name varchar,
        country varchar,
        language varchar
    )[],
    recursive := true
)
