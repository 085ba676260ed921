-- Whose data are to go, and whether a value names one of them.
create or replace temp table identifiers as
select
    kind,
    value
from given_identifiers;

create or replace temp macro names_one(the_kind, the_value) as coalesce(
    the_value in (select value from identifiers where kind = the_kind), false
);
