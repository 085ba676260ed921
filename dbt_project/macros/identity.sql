{#- The customer of rows that say a customer_id, an email_key and a phone_key, and the joins it takes.
    Only ids that are not their customer's own are looked up, and the addresses of guests. -#}
{% macro resolved_customer_id(rows) -%}
    coalesce(
        by_account.customer_id, {{ rows }}.customer_id, by_email.customer_id, by_phone.customer_id
    )
{%- endmacro %}

{% macro identity_joins(rows) -%}
    left join identities as by_account
        on
            {{ rows }}.customer_id = by_account.identifier
            and by_account.identifier_kind = 'platform_id'
            and by_account.identifier != by_account.customer_id

    left join identities as by_email
        on
            case when {{ rows }}.customer_id is null then {{ identifier_key('email', rows ~ '.email_key') }} end
            = by_email.identifier_key
            and by_email.identifier_kind = 'email'

    left join identities as by_phone
        on
            case when {{ rows }}.customer_id is null then {{ identifier_key('phone', rows ~ '.phone_key') }} end
            = by_phone.identifier_key
            and by_phone.identifier_kind = 'phone'
{%- endmacro %}

{#- Ids under which today's customers were known before they turned out to be somebody else too. -#}
{% macro former_customer_ids() -%}
    select
        case identifier_kind when 'platform_id' then identifier else 'guest:' || identifier end
            as former_id,
        customer_id

    from {{ ref('dim_customer_identities') }}

    where
        customer_id is not null
        and customer_id
        != case identifier_kind when 'platform_id' then identifier else 'guest:' || identifier end
{%- endmacro %}

{#- The mailbox that an e-mail address most likely ends in: many providers ignore dots and whatever
    follows a plus sign. Good enough for a suspicion, never to join two people. -#}
{% macro mailbox_of(email) -%}
    concat(
        replace(
            regexp_replace(split_part(lower(trim({{ email }})), '@', 1), '[+].*', ''), '.', ''
        ),
        '@',
        nullif(split_part(lower(trim({{ email }})), '@', 2), '')
    )
{%- endmacro %}

{#- The last nine digits of a telephone number, which leave out how the country was written. -#}
{% macro digits_of(phone) -%}
    nullif(right(regexp_replace({{ phone }}, '[^0-9]', '', 'g'), 9), '')
{%- endmacro %}
