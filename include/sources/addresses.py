"""A postal address as a key: two orders to one door have the same, and nobody can read it.

Country, post code and street line, each in small letters without accents (ß is ss). Only letters
and digits count, but that a street's 1-12 and 11-2 stay apart. The key is the MD5 of the three. It
is personal data still: who has a list of addresses can try them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
from duckdb import SQLExpression

# Country, post code, street line.
Address = tuple[str | None, str | None, str | None]


def _letters_and_digits(column: str, between: str) -> str:
    plain = f"replace(lower(strip_accents(coalesce({column}, ''))), 'ß', 'ss')"
    return rf"regexp_replace({plain}, '[^\p{{L}}\p{{N}}]+', '{between}', 'g')"


_COUNTRY = _letters_and_digits("country", "")
_POSTCODE = _letters_and_digits("postcode", "")
_STREET = rf"""
    replace(
        regexp_replace(
            trim({_letters_and_digits("street", " ")}), '(\p{{N}}) (\p{{N}})', '\1-\2', 'g'
        ),
        ' ',
        ''
    )
"""
# Without a post code, or without a street, the whole is null.
ADDRESS_KEY = SQLExpression(
    f"""
    md5({_COUNTRY} || '|' || nullif({_POSTCODE}, '') || '|' || nullif({_STREET}, ''))::uuid
    """
)
"""Of a relation's columns country, postcode and street; null without a post code or a street."""


def address_keys(addresses: Sequence[Address]) -> list[str | None]:
    """The keys of addresses that are not in a table, in their order."""
    schema = pa.schema([(name, pa.string()) for name in ("country", "postcode", "street")])
    columns = [[one[place] for one in addresses] for place in range(len(schema))]
    with duckdb.connect() as connection:
        written = connection.from_arrow(pa.table(columns, schema=schema))
        found = written.select(ADDRESS_KEY.cast("VARCHAR")).fetchall()
    return [key for (key,) in found]
