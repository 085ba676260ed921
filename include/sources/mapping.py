"""From a shop's own columns to canonical ones: strict casts, one fault at a time in words.

All is built with DuckDB's Expression API, so no name or value of a declaration ever becomes SQL.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import duckdb
from duckdb import (
    CaseExpression,
    ColumnExpression,
    ConstantExpression,
    Expression,
    FunctionExpression,
    SQLExpression,
)

from include.sources.base import BadPage, Grain, SourceOptions, Strict, TimeZone

Kind = Literal["text", "amount", "instant", "day", "flag", "suppression"]

_ORDER: dict[str, Kind] = {
    "order_id": "text",
    "ordered_at": "instant",
    "customer_key": "text",
    "gross_amount": "amount",
    "net_amount": "amount",
    "discount_amount": "amount",
    "country": "text",
    "currency": "text",
    "order_status": "text",
    "updated_at": "instant",
}
FIELDS: dict[Grain, dict[str, Kind]] = {
    "order": _ORDER,
    "order_line": _ORDER
    | {
        "line_id": "text",
        "sku": "text",
        "product_name": "text",
        "category": "text",
        "quantity": "amount",
        "unit_price": "amount",
    },
    "product": {
        "sku": "text",
        "product_name": "text",
        "category": "text",
        "department": "text",
        "updated_at": "instant",
    },
    "contact": {
        "customer_key": "text",
        "email": "text",
        "phone": "text",
        "first_name": "text",
        "last_name": "text",
        "country": "text",
        "language": "text",
        "has_email_consent": "flag",
        "has_ads_consent": "flag",
        "consent_at": "instant",
        "consent_source": "text",
        "suppressed_reason": "suppression",
        "birthday": "day",
        "updated_at": "instant",
    },
}
REQUIRED: dict[Grain, tuple[str, ...]] = {
    "order": ("order_id", "ordered_at"),
    "order_line": ("order_id", "ordered_at", "sku", "quantity"),
    "product": ("sku",),
    "contact": ("customer_key",),
}
# One of these says what a line is worth; the others follow from it.
WORTH = ("gross_amount", "net_amount", "unit_price")

_INTEGERS = {f"{sign}{name}" for sign in ("", "u") for name in ("tinyint", "smallint", "integer")}
_INTEGERS |= {"bigint", "ubigint", "hugeint", "uhugeint"}
_FLOATS = {"float", "double"}
_TIMES = {"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_ACCEPTED: dict[Kind, set[str]] = {
    "text": {"varchar", "enum", "uuid", "decimal"} | _INTEGERS | _FLOATS,
    "amount": {"varchar", "decimal"} | _INTEGERS | _FLOATS,
    "instant": {"varchar", "date"} | _TIMES,
    "day": {"varchar", "date"} | _TIMES,
    "flag": {"varchar", "boolean"} | _INTEGERS,
    "suppression": {"varchar", "enum"},
}
_NAMES: dict[Kind, str] = {
    "text": "text",
    "amount": "an amount that fits DECIMAL(18,4)",
    "instant": "a point in time",
    "day": "a day",
    "flag": "true or false",
    "suppression": "one of unsubscribed, complained, cleaned, erased",
}
MONEY = "DECIMAL(18,4)"
_NOTHING = ConstantExpression(0).cast(MONEY)
_TYPES: dict[Kind, str] = {
    "text": "VARCHAR",
    "amount": MONEY,
    "instant": "TIMESTAMPTZ",
    "day": "DATE",
    "flag": "BOOLEAN",
    "suppression": "ENUM('unsubscribed', 'complained', 'cleaned', 'erased')",
}
_UNFIT: dict[Kind, Expression] = {
    "text": SQLExpression("false"),
    "amount": SQLExpression("try_cast(value as decimal(18, 4)) is null"),
    "instant": SQLExpression("not coalesce(isfinite(try_cast(value as timestamptz)), false)"),
    "day": SQLExpression("not coalesce(isfinite(try_cast(value as date)), false)"),
    "flag": SQLExpression("try_cast(value as boolean) is null"),
    "suppression": SQLExpression(
        "value not in ('unsubscribed', 'complained', 'cleaned', 'erased')"
    ),
}


class Constant(Strict):
    """A value that holds for every row, instead of a column."""

    value: str | int | float | bool


Column = str | list[str] | Constant


class MappedOptions(SourceOptions):
    """A source whose columns are named in `sources.yml`.

    currency: of all amounts, unless a column is mapped to it. times_in: the zone of times without
    an offset, when it is not the shop's own. timestamp_format: a strptime format for times that are
    not written as ISO 8601 has it. decimal_comma: amounts are written 1234,56.
    """

    columns: dict[str, Column]
    currency: str | None = None
    times_in: TimeZone | None = None
    timestamp_format: str | None = None
    decimal_comma: bool = False


def check_columns(options: MappedOptions) -> None:
    """Raise `ValueError` naming the key when the mapping does not make a row of the grain."""
    fields = FIELDS[options.grain]
    for key, column in options.columns.items():
        if key not in fields:
            raise ValueError(f"columns.{key}: unknown key; known are: {', '.join(fields)}")
        if isinstance(column, list) and (fields[key] != "amount" or not column):
            raise ValueError(f"columns.{key}: only amounts can be a list of columns, to be summed")
        if '"' in str(column):
            raise ValueError(f"columns.{key}: a column with a double quote in its name: rename it")
    for key in REQUIRED[options.grain]:
        if key not in options.columns:
            raise ValueError(f"columns.{key}: a mapping is required")
    if options.grain in ("order", "order_line"):
        if not any(key in options.columns for key in WORTH):
            raise ValueError(f"columns: one of {', '.join(WORTH)} is required")
        if not options.currency and "currency" not in options.columns:
            raise ValueError("currency: required, unless columns.currency is mapped")


class Mapping:
    """Applies one declaration's mapping to relations of raw columns."""

    def __init__(self, options: MappedOptions, session_time_zone: str) -> None:
        self.options = options
        self.session_time_zone = session_time_zone
        self.kinds = FIELDS[options.grain]

    def columns(self) -> dict[str, Kind]:
        """The raw columns the mapping reads, and what each must be."""
        kinds: dict[str, Kind] = {}
        for key, column in self.options.columns.items():
            if not isinstance(column, Constant):
                for name in [column] if isinstance(column, str) else column:
                    kinds[name] = self.kinds[key]
        if self.options.rules.overlapping_parts:
            kinds.setdefault(self.options.rules.overlapping_parts, "text")
        return kinds

    def check(self, file: str, names: list[str], types: list[str]) -> None:
        """Raise `BadPage` when a mapped column is not there or is of another kind."""
        present = dict(zip(names, types, strict=True))
        for name, kind in self.columns().items():
            if name not in present:
                raise BadPage(file, f"the column is not there; {_present(names)}", column=name)
            if present[name] not in _ACCEPTED[kind]:
                raise BadPage(
                    file, f"holds {present[name]}, but must be {_NAMES[kind]}", column=name
                )

    def project(self, raw: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """The canonical columns of the grain, cast strictly and lazily, rows in the same order."""
        types = _types(raw)
        typed = {
            key: self._typed(key, column, types) for key, column in self.options.columns.items()
        }
        if self.options.rules.overlapping_parts:
            typed["part"] = _named(self.options.rules.overlapping_parts).cast("VARCHAR")
        local = self._local_day(types)
        if local is not None:
            typed["ordered_date"] = local
        rows = raw.select(*(value.alias(key) for key, value in typed.items()))

        fields = {
            key: _utc(_named(key)) if self.kinds.get(key) == "instant" else _named(key)
            for key in typed
        }
        if self.options.grain in ("order", "order_line"):
            fields = self._order_line(fields)
        if "customer_key" in fields:
            owner = self.options.customers_of or self.options.name
            fields["customer_id"] = _prefixed(owner, fields.pop("customer_key"))
        return rows.select(*(value.alias(key) for key, value in fields.items()))

    def fault(self, file: str, raw: duckdb.DuckDBPyRelation) -> BadPage | None:
        """The first row and column that do not fit; decodes the page once per mapped column."""
        types = _types(raw)
        required = (*REQUIRED[self.options.grain], *WORTH)
        numbered = raw.select(
            *(_named(name).alias(name) for name in self.columns()),
            SQLExpression("row_number() over ()").alias("row_number_in_file"),
        )
        for key, column in self.options.columns.items():
            if isinstance(column, Constant):
                continue
            kind = self.kinds[key]
            for name in [column] if isinstance(column, str) else column:
                text = self._written(name, kind, types).cast("VARCHAR").alias("value")
                values = numbered.select(text, ColumnExpression("row_number_in_file"))
                unfit = self._unfit(kind)
                reason = f"cannot be read as {_NAMES[kind]}"
                row = _first(values.filter("value is not null").filter(unfit))
                if row is None and key in required and isinstance(column, str):
                    reason = "is empty, but required"
                    row = _first(values.filter("value is null or value = ''"))
                if row is not None:
                    return BadPage(file, reason, row=row, column=name)
        return None

    def _unfit(self, kind: Kind) -> Expression:
        if kind in ("instant", "day") and self.options.timestamp_format:
            form = ConstantExpression(self.options.timestamp_format)
            return FunctionExpression("try_strptime", ColumnExpression("value"), form).isnull()
        return _UNFIT[kind]

    def _order_line(self, fields: dict[str, Expression]) -> dict[str, Expression]:
        options = self.options
        fields = dict(fields)
        fields["order_id"] = _prefixed(options.name, fields["order_id"])
        if "ordered_date" not in fields:
            zone = ConstantExpression(options.time_zone)
            local = FunctionExpression("timezone", zone, _named("ordered_at"))
            fields["ordered_date"] = local.cast("DATE")
        if options.grain == "order":
            fields["line_id"] = ConstantExpression("1")
        if "currency" not in fields:
            fields["currency"] = ConstantExpression(options.currency)

        quantity = fields.setdefault("quantity", ConstantExpression(1).cast(MONEY))
        discount = fields.setdefault("discount_amount", _NOTHING)
        net = fields.pop("net_amount", None)
        if "gross_amount" not in fields:
            gross = quantity * fields["unit_price"] if net is None else net + discount
            fields["gross_amount"] = gross.cast(MONEY)
        if "unit_price" not in fields:
            each = (fields["gross_amount"] / quantity).cast(MONEY)
            fields["unit_price"] = CaseExpression(quantity != _NOTHING, each)
        return fields

    def _local_day(self, types: dict[str, str]) -> Expression | None:
        """The shop's day of an order where it can be read off, without time zone tables."""
        column = self.options.columns.get("ordered_at")
        is_local = self.session_time_zone == self.options.time_zone
        if is_local and isinstance(column, str) and types[column] in ("timestamp", "date"):
            return _named(column).cast("DATE")
        return None

    def _typed(self, key: str, column: Column, types: dict[str, str]) -> Expression:
        """A mapped value in its canonical type; instants still with their time zone."""
        kind = self.kinds[key]
        if isinstance(column, Constant):
            return ConstantExpression(column.value).cast(_TYPES[kind])
        if key == "discount_amount" or isinstance(column, list):
            parts = [column] if isinstance(column, str) else column
            return self._sum(parts, types, is_magnitude=key == "discount_amount")
        value = self._written(column, kind, types)
        if kind in ("instant", "day") and self.options.timestamp_format:
            form = ConstantExpression(self.options.timestamp_format)
            value = FunctionExpression("strptime", value, form)
        elif kind == "instant" and self.session_time_zone == "UTC" and types[column] == "timestamp":
            # The cast would ask the time zone tables for every row.
            return FunctionExpression("make_timestamptz", FunctionExpression("epoch_us", value))
        value = value.cast(_TYPES[kind])
        return value.cast("VARCHAR") if kind == "suppression" else value

    def _sum(self, names: list[str], types: dict[str, str], is_magnitude: bool) -> Expression:
        """Amounts added up, an empty one as nothing; shops write discounts with either sign."""
        total = _NOTHING
        for name in names:
            amount = self._written(name, "amount", types).cast(MONEY)
            if is_magnitude:
                amount = FunctionExpression("abs", amount)
            total = total + CaseExpression(amount.isnotnull(), amount).otherwise(_NOTHING)
        return total.cast(MONEY)

    def _written(self, name: str, kind: Kind, types: dict[str, str]) -> Expression:
        """A raw column, with what its file's way of writing adds taken away. Empty text is null."""
        value = _named(name)
        if types[name] in _FLOATS and kind == "text":
            # Spreadsheet tools turn the whole numbers of a column with gaps into 12345.0.
            whole = value.cast("BIGINT")
            return CaseExpression(value == whole, whole.cast("VARCHAR")).otherwise(
                value.cast("VARCHAR")
            )
        if types[name] != "varchar":
            return value
        value = CaseExpression(value != ConstantExpression(""), value)
        if kind == "amount" and self.options.decimal_comma:
            swap = (ConstantExpression(".,"), ConstantExpression("x."))
            value = FunctionExpression("translate", value, *swap)
        return value


def _types(raw: duckdb.DuckDBPyRelation) -> dict[str, str]:
    return dict(zip(raw.columns, (str(kind.id) for kind in raw.types), strict=True))


def _present(names: list[str]) -> str:
    """The columns there are; of a file without a header they would be a row of its data."""
    if any("@" in name or re.fullmatch(r"[\d\s.,:/+-]+", name) for name in names):
        return "the first row looks like data, not like a header (`header: false`?)"
    return "there are: " + ", ".join(repr(name) for name in names)


def _named(name: str) -> Expression:
    # Without quotes the constructor would read a dot as a path into a struct.
    return ColumnExpression(f'"{name}"')


def _prefixed(owner: str, key: Expression) -> Expression:
    return FunctionExpression("||", ConstantExpression(f"{owner}:"), key)


def _utc(instant: Expression) -> Expression:
    """A point in time as a naive timestamp in UTC."""
    return FunctionExpression("make_timestamp", FunctionExpression("epoch_us", instant))


def _first(rows: duckdb.DuckDBPyRelation) -> int | None:
    found = rows.aggregate("min(row_number_in_file)").fetchone()
    return found[0] if found else None


assert set(FIELDS) <= set(get_args(Grain))
