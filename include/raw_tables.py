"""The raw tables: made, brought up to this release, and merged into, newest version first.

`include/sql/raw_tables.sql` says what they hold; all else follows from it. The names that complete
a statement here are those of that file and of `KEYS`, never anybody's input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import duckdb
import phonenumbers
import pyarrow as pa
from duckdb import SQLExpression, StarExpression

from include.sources.base import Table
from include.warehouse import Warehouse

# What a record is known by, besides its source.
KEYS: Mapping[Table, tuple[str, ...]] = {
    "order_lines": ("order_id", "line_id"),
    "orders": ("order_id",),
    "contacts": ("customer_id",),
    "products": ("sku",),
    "consents": ("consent_id",),
    "survey_answers": ("answer_id",),
    "points_redemptions": ("redemption_id",),
    "ad_spend": ("spend_date", "platform", "campaign_id"),
    "erasure_requests": ("request_id",),
    "exchange_rates": ("currency", "base_currency", "rate_date"),
}
_LOAD_NUMBER = "load_number"
_PROVENANCE = {"source", "file_name", "file_modified_at", "row_number", _LOAD_NUMBER}

# One address and nothing else; whoever types two of them into one field is known by neither.
_EMAIL_KEY = SQLExpression(
    r"""
    case
        when strlen(trim(email, E' \t\r\n')) <= 254
            and regexp_full_match(
                trim(email, E' \t\r\n'), '[^@\s,;<>"]+@[^@\s,;<>".]+(\.[^@\s,;<>".]+)+'
            )
            then lower(nfc_normalize(trim(email, E' \t\r\n')))
    end
    """
)
_PHONE_KEY = SQLExpression(
    r"case when regexp_full_match(trim(phone), '\+[1-9][0-9]{6,14}') then trim(phone) end"
)
_REGION = SQLExpression("case when phone is not null then upper(trim(country)) end")


@dataclass(frozen=True)
class Column:
    """A column of a raw table, in DuckDB's words."""

    name: str
    type: str
    is_required: bool
    default: str = field(default="", repr=False)


@cache
def declared() -> Mapping[str, tuple[Column, ...]]:
    """Every raw table's columns, as `raw_tables.sql` has them."""
    with duckdb.connect() as connection:
        scratch = Warehouse(connection)
        scratch.run("raw_tables")
        found: dict[str, tuple[Column, ...]] = {}
        for row in scratch.run("declared_columns").to_pylist():
            column = Column(
                row["column_name"],
                row["data_type"],
                not row["is_nullable"],
                f"default {row['column_default']}" if row["column_default"] else "",
            )
            found[row["table_name"]] = (*found.get(row["table_name"], ()), column)
    return found


def make(warehouse: Warehouse) -> None:
    """Make the raw tables, and add the columns that those of an earlier release lack."""
    warehouse.run("raw_tables")
    held = {
        (row["table_name"], row["column_name"])
        for row in warehouse.run("declared_columns").to_pylist()
    }
    for table, columns in declared().items():
        for column in columns:
            if (table, column.name) not in held:
                warehouse.connection.execute(
                    f"alter table raw.{table} add column {column.name} {column.type}"
                    f" {column.default}"
                )


def fingerprint(table: Table) -> str:
    """Changes whenever a release keeps other columns of the same pages."""
    kept = tuple(column for column in declared()[table] if column.name != _LOAD_NUMBER)
    return hashlib.sha256(repr(kept).encode()).hexdigest()


def forget(warehouse: Warehouse, table: Table, source: str, owner: str) -> None:
    """Delete what the pages of a source brought; its rows carry `owner` in the column `source`."""
    if table in ("orders", "order_lines"):
        warehouse.run("forget_orders", {"table": table}, source=source, owner=owner)
    warehouse.run("forget", {"table": table}, source=source, owner=owner)


class Incoming:
    """The pages of one load, decoded and checked in temporary tables, before they are merged."""

    def __init__(
        self, warehouse: Warehouse, table: Table, has_line_ids: bool, phone_country: str | None
    ) -> None:
        self.warehouse = warehouse
        self.table = table
        self.has_line_ids = has_line_ids
        self.phone_country = phone_country
        self.names = {"table": table, "key": ", ".join(KEYS[table])}
        kept = [column for column in declared()[table] if column.name not in _PROVENANCE]
        self.has_people = any(column.name == "email_key" for column in kept)
        self.columns = ["page", "part", "region", *(column.name for column in kept)]
        columns = ["page integer", "part varchar", "region varchar"]
        for column in kept:
            is_known_by = has_line_ids and column.name in KEYS[table]
            needed = " not null" if column.is_required or is_known_by else ""
            columns.append(f"{column.name} {column.type}{needed}")
        warehouse.connection.execute(
            f"create or replace temp table incoming ({', '.join(columns)})"
        )
        warehouse.run("incoming_pages")

    def stage(
        self, rows: duckdb.DuckDBPyRelation, page: int, file_name: str, file_modified_at: datetime
    ) -> None:
        """Decode a whole page. The page's number is its rank in the version rule: newest last."""
        # A temporary view, of which nothing stays in the warehouse.
        self.warehouse.connection.register("page_rows", _keyed(rows))
        self.warehouse.run(
            "stage_page", page=page, file_name=file_name, file_modified_at=file_modified_at
        )

    def row_counts(self) -> dict[int, int]:
        """Rows by page; nothing can be staged after it."""
        counted = self.warehouse.run("incoming_rows").to_pylist()
        return {row["page"]: row["rows"] for row in counted}

    def merge(self, source: str, owner: str, is_retold: bool) -> None:
        """Into the raw table: newest version wins, an equal one changes nothing.

        owner: what the column `source` says. is_retold: whether a page came under the name of
        another one, which matters where lines have no numbers.
        """
        if self.has_people:
            self.key_phones()
        if not self.has_line_ids:
            if is_retold:
                self.warehouse.run("supersede_lines", source=source)
            self.warehouse.run("lines_by_content")
        elif self._run("count_repeats").column(0)[0].as_py():
            self._run("newest_by_key")
        else:
            self._run("all_by_key")
        self._run("merge", source=owner)
        if self.table == "products":
            self.warehouse.run("mark_deleted_products", source=owner)

    def key_phones(self) -> None:
        """Make numbers comparable as people write them, each different one once."""
        written = self.warehouse.run("unkeyed_phones").to_pylist()
        keys = [e164(row["phone"], row["region"], self.phone_country) for row in written]
        found = [row | {"phone_key": key} for row, key in zip(written, keys, strict=True) if key]
        if found:
            names = ("phone", "region", "phone_key")
            schema = pa.schema([(name, pa.string()) for name in names])
            self.warehouse.connection.register("phone_keys", pa.Table.from_pylist(found, schema))
            self.warehouse.run("key_phones")
            self.warehouse.connection.unregister("phone_keys")

    def _run(self, statement: str, **parameters: object) -> Any:
        return self.warehouse.run(statement, self.names, **parameters)


def e164(phone: str, region: str | None, default: str | None) -> str | None:
    """A phone number in E.164, if it is a valid one of the country that it belongs to.

    region: two letters of ISO 3166, or whatever stands in their place; default: the country where
    that is none.
    """
    country = region if region in phonenumbers.SUPPORTED_REGIONS else default
    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    key: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return key


def _keyed(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The rows with what makes a person's addresses comparable, as far as SQL can tell."""
    added = []
    if "email" in rows.columns:
        added.append(_EMAIL_KEY.alias("email_key"))
    if "phone" in rows.columns:
        added.append(_PHONE_KEY.alias("phone_key"))
        if "country" in rows.columns:
            added.append(_REGION.alias("region"))
    return rows.select(StarExpression(), *added) if added else rows
