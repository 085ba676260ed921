-- The codes that a shop has to know, those of one discount together. An advocate's code has no days.
with

issued as (

    select
        offer_codes.offer_id,
        offer_codes.code,
        offer_codes.offer_name,
        offer_codes.issued_date,
        offer_codes.ends_on,
        offer_codes.percent,
        offer_codes.amount,
        offer_codes.currency,
        offer_codes.minimum_spend
    from offer_codes
    inner join offers
        on offer_codes.offer_id = offers.offer_id
    where offers.offer_state = 'open'

    union all

    select
        offer_id,
        code,
        'referral' as offer_name,
        null as issued_date,
        null as ends_on,
        percent,
        amount,
        currency,
        minimum_spend
    from advocate_codes

)

select
    offer_id,
    code,
    offer_name,
    issued_date,
    ends_on,
    percent,
    amount,
    currency,
    minimum_spend
from issued
order by
    offer_name,
    issued_date,
    ends_on,
    percent,
    amount,
    currency,
    minimum_spend,
    offer_id
