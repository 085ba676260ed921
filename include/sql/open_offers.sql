-- The codes that a shop has to know, those of one discount together.
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
order by
    offer_codes.offer_name,
    offer_codes.issued_date,
    offer_codes.ends_on,
    offer_codes.percent,
    offer_codes.amount,
    offer_codes.currency,
    offer_codes.minimum_spend,
    offer_codes.offer_id
