-- A snapshot's table of memberships names an offer; who is written to gets its code.
alter view wanted rename to wanted_with_offers;
create view wanted as
select
    wanted_with_offers.* replace (
        case
            when offer_codes.code is null then wanted_with_offers.payload
            else json_merge_patch(
                wanted_with_offers.payload, json_object('coupon_code', offer_codes.code)
            )
        end as payload
    )
from wanted_with_offers
left join offer_codes
    on json_extract_string(wanted_with_offers.payload, '$.coupon_code') = offer_codes.offer_id
