-- Who was erased, and how an identifier's tombstone is computed: HMAC-SHA256 (RFC 2104) with the salt's
-- padded keys, which are session variables and stand nowhere.
create or replace temp table tombstones as
select hash
from given_tombstones;

create or replace temp macro tombstone_of(kind, value) as sha256(
    cast(getvariable('erasure_outer_key') as blob)
    || unhex(sha256(cast(getvariable('erasure_inner_key') as blob) || encode(kind || ':' || value)))
);
