{#- HMAC-SHA256 (RFC 2104) of a text with the secret of the connection offers_default, in hexadecimal
    digits; null where there is no secret. The two padded keys are variables of the session, set by
    include/offers/session.py, so that the secret stands in no SQL. -#}
{% macro hmac_sha256(text) -%}
    {{ return(adapter.dispatch('hmac_sha256')(text)) }}
{%- endmacro %}

{% macro default__hmac_sha256(text) -%}
    sha256(
        cast(getvariable('offers_outer_key') as blob)
        || unhex(sha256(cast(getvariable('offers_inner_key') as blob) || encode({{ text }})))
    )
{%- endmacro %}

{#- Sixty bits of a hexadecimal text as twelve letters and digits that nobody mistakes for one another
    (Crockford's base 32). -#}
{% macro code_of(digits) -%}
    {{ return(adapter.dispatch('code_of')(digits)) }}
{%- endmacro %}

{% macro default__code_of(digits) -%}
    (
        {%- for place in range(0, 60, 5) %}
        substr(
            '0123456789ABCDEFGHJKMNPQRSTVWXYZ',
            cast(
                ((cast('0x' || substr({{ digits }}, 1, 15) as ubigint) >> {{ place }}) & 31) + 1
                as integer
            ),
            1
        ){{ " ||" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- The id of an offer: its name, colon, the MD5 of whose it is. -#}
{% macro offer_id(offer_name, parts) -%}
    concat({{ offer_name }}, ':', md5({{ json_list(parts) }}))
{%- endmacro %}

{#- What a friend gets for an advocate's code, as `referral_friend_offer` declares it: one row, or none. -#}
{% macro referral_friend_offer() -%}
    {%- set offer = var('referral_friend_offer') or {} -%}
    {%- if offer and (
        (not offer.percent) == (not offer.amount) or (not offer.amount) != (not offer.currency)
    ) -%}
        {{ exceptions.raise_compiler_error(
            'referral_friend_offer has either a percent, or an amount and its currency'
        ) }}
    {%- endif -%}
    select
        cast({{ offer.percent or 'null' }} as decimal(18, 4)) as percent,
        cast({{ offer.amount or 'null' }} as decimal(18, 4)) as amount,
        {% if offer.currency %}'{{ offer.currency }}'{% else %}cast(null as varchar){% endif %} as currency,
        cast({{ offer.minimum_spend or 0 }} as decimal(18, 4)) as minimum_spend

    where {{ 'true' if offer else 'false' }}
{%- endmacro %}

{#- The declared audiences that come with an offer, and the offers' terms, one row each. -#}
{% macro declared_offers() -%}
    {%- for audience in var('audiences') if audience.offer %}

    select
        '{{ audience.name }}' as audience,
        '{{ audience.offer.name }}' as offer_name,
        cast({{ audience.offer.percent or 'null' }} as decimal(18, 4)) as percent,
        cast({{ audience.offer.amount or 'null' }} as decimal(18, 4)) as amount,
        {% if audience.offer.currency %}'{{ audience.offer.currency }}'{% else %}cast(null as varchar){% endif %} as currency,
        cast({{ audience.offer.minimum_spend }} as decimal(18, 4)) as minimum_spend,
        {{ audience.offer.valid_days }} as valid_days

    union all

    {%- endfor %}

    select
        cast(null as varchar) as audience,
        cast(null as varchar) as offer_name,
        cast(null as decimal(18, 4)) as percent,
        cast(null as decimal(18, 4)) as amount,
        cast(null as varchar) as currency,
        cast(null as decimal(18, 4)) as minimum_spend,
        cast(null as integer) as valid_days
    where false
{%- endmacro %}
