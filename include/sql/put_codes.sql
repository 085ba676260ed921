-- A snapshot's table of memberships names an offer; who is written to gets its code.
update due_wanted
set payload = json_merge_patch(due_wanted.payload, json_object('coupon_code', offer_codes.code))
from offer_codes
where json_extract_string(due_wanted.payload, '$.coupon_code') = offer_codes.offer_id
