"""Invent contacts for orders that come without any, so that the demo has somebody to write to.

Nobody can be reached through them: the addresses end in `.example`, which RFC 2606 keeps out of the
domain name system, and the phone numbers are of ranges kept for fiction (North America's 555-0100
to 555-0199; the landline numbers that Ofcom keeps for drama). The three customers with the most
order lines get an address at example.com, which Mailchimp refuses: the demo shows a rejected row.

    python examples/invent_contacts.py <orders.parquet> <customer column> <target.parquet>
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

import duckdb

from include.sources.files import PACKAGE, package_file

Country = Literal["US", "GB"]


def invent(orders_file: str, key_column: str, target: Path, country: Country = "US") -> int:
    """Write one contact per customer of a Parquet file of orders; returns how many.

    The same customers always get the same contacts, byte for byte. `orders_file` may be
    `package:<name>/<path>`. Customers beyond the numbers kept for fiction get no phone.
    """
    if orders_file.startswith(PACKAGE):
        orders_file = str(package_file(orders_file))
    statement = Path(__file__).with_suffix(".sql").read_text()
    with duckdb.connect(config={"threads": 1}) as connection:
        key = duckdb.ColumnExpression(key_column).alias("customer_key")
        connection.from_parquet(orders_file).select(key).create_view("orders")
        contacts = connection.execute(statement, {"country": country}).to_arrow_table()
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}")
        connection.from_arrow(contacts).write_parquet(str(unfinished))
        unfinished.replace(target)
        return len(contacts)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("orders_file")
    parser.add_argument("key_column")
    parser.add_argument("target", type=Path)
    parser.add_argument("--country", choices=["US", "GB"], default="US")
    asked = parser.parse_args()
    invent(asked.orders_file, asked.key_column, asked.target, asked.country)


if __name__ == "__main__":
    main()
