"""Invent what the demo's orders come without: whom to write to, and what customers answered.

    python examples/invent.py contacts <orders.parquet> <customer column> <target.parquet>
    python examples/invent.py answers <orders.parquet> <customer column> <target.parquet> \\
        --time <column>

Nobody can be reached through the contacts: the addresses end in `.example`, which RFC 2606 keeps
out of the domain name system, and the phone numbers are of ranges kept for fiction (North America's
555-0100 to 555-0199; the landline numbers that Ofcom keeps for drama). The three customers with the
most order lines get an address at example.com, which Mailchimp refuses: the demo shows a rejected
row. A quarter of the customers say some days after one of their orders whether they would recommend
the shop.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

import duckdb

from include.sources.files import PACKAGE, package_file

Country = Literal["US", "GB"]


def invent_contacts(
    orders_file: str, key_column: str, target: Path, country: Country = "US"
) -> int:
    """Write one contact per customer of a Parquet file of orders; returns how many.

    The same customers always get the same contacts, byte for byte. `orders_file` may be
    `package:<name>/<path>`. Customers beyond the numbers kept for fiction get no phone.
    """
    key = duckdb.ColumnExpression(key_column).alias("customer_key")
    return _invent("contacts", orders_file, [key], target, {"country": country})


def invent_answers(orders_file: str, key_column: str, time_column: str, target: Path) -> int:
    """Write the survey answers of some customers of a Parquet file of orders; returns how many.

    The same orders always get the same answers, byte for byte; none is later than the last order.
    """
    key = duckdb.ColumnExpression(key_column).alias("customer_key")
    time = duckdb.ColumnExpression(time_column).alias("ordered_at")
    return _invent("answers", orders_file, [key, time], target, {})


def _invent(
    what: str,
    orders_file: str,
    columns: list[duckdb.Expression],
    target: Path,
    parameters: dict[str, str],
) -> int:
    if orders_file.startswith(PACKAGE):
        orders_file = str(package_file(orders_file))
    statement = Path(__file__).with_name(f"invent_{what}.sql").read_text()
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.from_parquet(orders_file).select(*columns).create_view("orders")
        invented = connection.execute(statement, parameters).to_arrow_table()
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}")
        connection.from_arrow(invented).write_parquet(str(unfinished))
        unfinished.replace(target)
        return len(invented)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    for what in ("contacts", "answers"):
        command = commands.add_parser(what)
        command.add_argument("orders_file")
        command.add_argument("key_column")
        command.add_argument("target", type=Path)
    commands.choices["contacts"].add_argument("--country", choices=["US", "GB"], default="US")
    commands.choices["answers"].add_argument("--time", required=True)
    asked = parser.parse_args()
    if asked.what == "contacts":
        invent_contacts(asked.orders_file, asked.key_column, asked.target, asked.country)
    else:
        invent_answers(asked.orders_file, asked.key_column, asked.time, asked.target)


if __name__ == "__main__":
    main()
