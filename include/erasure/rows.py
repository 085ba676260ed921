"""Which rows are about a person, in any table, and what becomes of them.

A row is a person's if any column that names people says one of the person's identifiers. Orders
stay as figures: a shop's turnover is nobody's personal data, and its books are kept by law (GDPR,
Art. 17(3)(b)). They lose everything that leads to the person; each then stands for itself, without
a link to the person's other orders. Every other row goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
from duckdb import SQLExpression

from include.erasure.tombstones import Identifier, Kind, Tombstones
from include.warehouse import Warehouse

# Tables that keep figures when their person goes, by any of the names they have.
FIGURES = frozenset({"orders", "order_lines", "int_order_lines"})
# What those lose.
PERSONAL = (
    "customer_id",
    "email",
    "email_key",
    "phone",
    "phone_key",
    "first_name",
    "last_name",
    "address_key",
)
NUMBER = "load_number"
_HASHES = frozenset({"identity", "platform_node", "email_node", "phone_node", "identifier_key"})


def naming(column: str) -> tuple[Kind, str] | None:
    """What kind of identifier a column holds, and its value's plain form in SQL; None if none."""
    quoted = f'"{column}"::varchar'
    if column == "customer_id" or column.endswith("_customer_id"):
        return "platform_id", quoted
    if column in ("email", "email_key"):
        return "email", f"lower(nfc_normalize(trim({quoted}, E' \\t\\r\\n')))"
    if column == "phone_key":
        return "phone", quoted
    if column in _HASHES:
        return "identity", f"replace({quoted}, '-', '')"
    return None


def about_a_person(columns: Iterable[str]) -> str | None:
    """The SQL condition by which a row is about one of `identifiers`; None if no column can say."""
    named = [found for column in columns if (found := naming(column))]
    conditions = [f"names_one('{kind}', {value})" for kind, value in named]
    return f"({' or '.join(conditions)})" if conditions else None


def find_erased(
    warehouse: Warehouse, table: str, columns: Sequence[str], tombstones: Tombstones
) -> list[Identifier]:
    """The identifiers in a table that have a tombstone (`Tombstones.show` came before)."""
    found: list[Identifier] = []
    for column in columns:
        named = naming(column)
        if named and tombstones:
            kind, value = named
            names = {"table": table, "value": value}
            rows = warehouse.run("find_erased", names, kind=kind).column("value").to_pylist()
            found += [(kind, row) for row in rows]
    return found


def purge(warehouse: Warehouse, table: str, columns: Sequence[str], *, is_figures: bool) -> int:
    """Take the people of `identifiers` out of a table; how many rows were about them."""
    condition = about_a_person(columns)
    if condition is None:
        return 0
    names = {"table": table, "condition": condition}
    [counted] = warehouse.run("count_about", names).to_pylist()
    if counted["row_count"]:
        if is_figures:
            lost = [f"{column} = null" for column in columns if column in PERSONAL]
            if NUMBER in columns and table.startswith("raw."):
                # The next build has to look at the order again.
                lost.append(f"{NUMBER} = nextval('raw.load_numbers')")
            assignments = ", ".join(lost)
            warehouse.run("anonymise", names | {"assignments": assignments})
        else:
            warehouse.run("delete_about", names)
    return int(counted["row_count"])


def purge_file(
    connection: duckdb.DuckDBPyConnection, source: str, target: Path, *, is_figures: bool
) -> tuple[int, int] | None:
    """Write a Parquet file without the people of `identifiers`; None if none of them is in it.

    Returns how many rows were about them, and how many rows there are now.
    """
    rows = connection.read_parquet(source)
    condition = about_a_person(rows.columns)
    if condition is None:
        return None
    about = rows.filter(SQLExpression(condition)).aggregate("count(*)").fetchall()[0][0]
    if not about:
        return None
    if is_figures:
        kinds = dict(zip(rows.columns, rows.types, strict=True))
        columns = [
            SQLExpression(f'case when not {condition} then "{name}" end').cast(kind).alias(name)
            if name in PERSONAL
            else SQLExpression(f'"{name}"')
            for name, kind in kinds.items()
        ]
        kept = rows.select(*columns)
    else:
        kept = rows.filter(SQLExpression(f"not {condition}"))
    kept.write_parquet(str(target), compression="zstd")
    return int(about), int(connection.read_parquet(str(target)).count("*").fetchall()[0][0])


def figures(table: str) -> bool:
    """Whether a table keeps its rows when their person goes."""
    return table in FIGURES
