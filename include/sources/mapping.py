"""From a shop's own columns to canonical ones: strict casts, one fault at a time in words.

All is built with DuckDB's Expression API, so no name or value of a declaration ever becomes SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
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

from include.sources.addresses import ADDRESS_KEY
from include.sources.base import BadPage, Grain, SourceOptions, Strict, TimeZone
from include.sources.currencies import DECIMALS as DECIMALS_OF
from include.sources.currencies import USUAL_DECIMALS

Kind = Literal[
    "text",
    "amount",
    "number",
    "rate",
    "count",
    "instant",
    "day",
    "flag",
    "suppression",
    "channel",
    "consent_state",
    "survey_kind",
]

_PERSON: dict[str, Kind] = {"customer_key": "text", "email": "text", "phone": "text"}
_ORDER: dict[str, Kind] = _PERSON | {
    "order_id": "text",
    "ordered_at": "instant",
    "gross_amount": "amount",
    "net_amount": "amount",
    "discount_amount": "amount",
    "country": "text",
    "postcode": "text",
    "street": "text",
    "currency": "text",
    "order_status": "text",
    "delivered_at": "instant",
    "discount_code": "text",
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
        "quantity": "number",
        "unit_price": "amount",
    },
    "product": {
        "sku": "text",
        "product_id": "text",
        "product_name": "text",
        "category": "text",
        "department": "text",
        "unit_cost": "amount",
        "currency": "text",
        "is_active": "flag",
        "stock_quantity": "count",
        "created_at": "instant",
        "deleted_at": "instant",
        "updated_at": "instant",
    },
    "contact": _PERSON
    | {
        "first_name": "text",
        "last_name": "text",
        "country": "text",
        "language": "text",
        "has_email_consent": "flag",
        "email_consent_at": "instant",
        "email_consent_source": "text",
        "has_ads_consent": "flag",
        "ads_consent_at": "instant",
        "ads_consent_source": "text",
        "has_sms_consent": "flag",
        "sms_consent_at": "instant",
        "sms_consent_source": "text",
        "consent_at": "instant",
        "consent_source": "text",
        "consent_jurisdiction": "text",
        "suppressed_reason": "suppression",
        "birthday": "day",
        "deleted_at": "instant",
        "updated_at": "instant",
    },
    "consent": _PERSON
    | {
        "consent_id": "text",
        "channel": "channel",
        "state": "consent_state",
        "changed_at": "instant",
        "consent_source": "text",
        "jurisdiction": "text",
        "suppressed_reason": "suppression",
        "updated_at": "instant",
    },
    "survey_answer": _PERSON
    | {
        "answer_id": "text",
        "survey": "text",
        "kind": "survey_kind",
        "score": "number",
        "order_id": "text",
        "sku": "text",
        "answered_at": "instant",
        "updated_at": "instant",
    },
    "points_redemption": {
        "redemption_id": "text",
        "customer_key": "text",
        "points": "count",
        "redeemed_at": "instant",
        "order_id": "text",
        "updated_at": "instant",
    },
    "ad_spend": {
        "spend_date": "day",
        "platform": "text",
        "campaign_id": "text",
        "campaign_name": "text",
        "currency": "text",
        "amount": "amount",
        "impressions": "count",
        "clicks": "count",
        "updated_at": "instant",
    },
    "erasure_request": _PERSON
    | {"request_id": "text", "requested_at": "instant", "updated_at": "instant"},
    "exchange_rate": {
        "currency": "text",
        "base_currency": "text",
        "rate_date": "day",
        "rate": "rate",
        "updated_at": "instant",
    },
}
REQUIRED: dict[Grain, tuple[str, ...]] = {
    "order": ("order_id", "ordered_at"),
    "order_line": ("order_id", "ordered_at", "sku", "quantity"),
    "product": ("sku",),
    "contact": ("customer_key",),
    "consent": ("channel", "state", "changed_at"),
    "survey_answer": ("answer_id", "kind", "score", "answered_at"),
    "points_redemption": ("redemption_id", "customer_key", "points", "redeemed_at"),
    "ad_spend": ("spend_date", "platform", "campaign_id", "amount"),
    "erasure_request": ("request_id", "requested_at"),
    "exchange_rate": ("currency", "base_currency", "rate_date", "rate"),
}
# Their currency is mapped, or the same for all.
_PRICED = ("order", "order_line", "ad_spend")
# At least one of a person's keys says whom they are about.
_ABOUT_PERSONS = ("consent", "survey_answer", "erasure_request")
# Keys that only mean something together with the source's name.
_OWN_KEYS = ("consent_id", "answer_id", "redemption_id", "request_id")
# One of these says what a line is worth; the others follow from it.
WORTH = ("gross_amount", "net_amount", "unit_price")

_INTEGERS = {f"{sign}{name}" for sign in ("", "u") for name in ("tinyint", "smallint", "integer")}
_INTEGERS |= {"bigint", "ubigint", "hugeint", "uhugeint"}
_FLOATS = {"float", "double"}
_NUMBERS = {"varchar", "decimal"} | _INTEGERS | _FLOATS
_TIMES = {"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
MONEY = "DECIMAL(18,4)"
_NOTHING = ConstantExpression(0).cast(MONEY)
# What a DECIMAL(18,8) holds at least.
_SMALL = ConstantExpression(10**9)


@dataclass(frozen=True)
class _Meaning:
    """What a kind of value is: in words, in DuckDB's type, from which types, and what is unfit."""

    words: str
    type: str
    accepted: frozenset[str]
    unfit: str


def _meaning(words: str, type: str, accepted: set[str], unfit: str) -> _Meaning:
    return _Meaning(words, type, frozenset(accepted), unfit)


def _choice(*values: str) -> _Meaning:
    listed = ", ".join(f"'{value}'" for value in values)
    words = f"one of {', '.join(values)}"
    return _meaning(words, f"ENUM({listed})", {"varchar", "enum"}, f"value not in ({listed})")


MEANINGS: dict[Kind, _Meaning] = {
    "text": _meaning("text", "VARCHAR", _NUMBERS | {"enum", "uuid"}, "false"),
    **dict.fromkeys(
        ("amount", "number"),
        _meaning(
            "an amount that fits DECIMAL(18,4)",
            MONEY,
            _NUMBERS,
            "try_cast(value as decimal(18, 4)) is null",
        ),
    ),
    "rate": _meaning(
        "a rate that fits DECIMAL(18,8)",
        "DECIMAL(18,8)",
        _NUMBERS,
        "try_cast(value as decimal(18, 8)) is null",
    ),
    "count": _meaning("a whole number", "BIGINT", _NUMBERS, "try_cast(value as bigint) is null"),
    "instant": _meaning(
        "a point in time",
        "TIMESTAMPTZ",
        {"varchar", "date"} | _TIMES,
        "not coalesce(isfinite(try_cast(value as timestamptz)), false)",
    ),
    "day": _meaning(
        "a day",
        "DATE",
        {"varchar", "date"} | _TIMES,
        "not coalesce(isfinite(try_cast(value as date)), false)",
    ),
    "flag": _meaning(
        "true or false",
        "BOOLEAN",
        {"varchar", "boolean"} | _INTEGERS,
        "try_cast(value as boolean) is null",
    ),
    "suppression": _choice("unsubscribed", "complained", "cleaned", "erased"),
    "channel": _choice("email", "ads", "sms"),
    "consent_state": _choice("granted", "withdrawn", "pending"),
    "survey_kind": _choice("nps", "csat"),
}
# Kinds that may be written with a comma, and that are read at once where a file has no types.
DECIMALS: frozenset[Kind] = frozenset({"amount", "number", "rate"})


class Constant(Strict):
    """A value that holds for every row, instead of a column."""

    value: str | int | float | bool


Column = str | list[str] | Constant


class MappedOptions(SourceOptions):
    """A source whose columns are named in `sources.yml`.

    currency: of all amounts, unless a column is mapped to it. times_in: the zone of times without
    an offset, when it is not the shop's own. timestamp_format: a strptime format for times that are
    not written as ISO 8601 has it. decimal_comma: numbers are written 1234,56. amounts_in: whether
    money is written in its currency (9.99) or in its smallest unit (999; whole yen are yen).
    """

    columns: dict[str, Column]
    currency: str | None = None
    times_in: TimeZone | None = None
    timestamp_format: str | None = None
    decimal_comma: bool = False
    amounts_in: Literal["major_units", "minor_units"] = "major_units"


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
        if isinstance(column, Constant) and not _is_fit(str(column.value), fields[key]):
            words = MEANINGS[fields[key]].words
            raise ValueError(f"columns.{key}: {column.value!r} is not {words}")
    for key in REQUIRED[options.grain]:
        if key not in options.columns:
            raise ValueError(f"columns.{key}: a mapping is required")
    if options.rules.excluded_order_statuses and "order_status" not in options.columns:
        raise ValueError("rules.excluded_order_statuses: columns.order_status is not mapped")
    if options.grain in ("order", "order_line") and not any(
        key in options.columns for key in WORTH
    ):
        raise ValueError(f"columns: one of {', '.join(WORTH)} is required")
    if ("postcode" in options.columns) != ("street" in options.columns):
        raise ValueError("columns: postcode and street are told together")
    is_priced = options.grain in _PRICED or options.amounts_in == "minor_units"
    if is_priced and not options.currency and "currency" not in options.columns:
        raise ValueError("currency: required, unless columns.currency is mapped")
    if options.grain in _ABOUT_PERSONS and not any(key in options.columns for key in _PERSON):
        raise ValueError(f"columns: one of {', '.join(_PERSON)} is required")


class Mapping:
    """Applies one declaration's mapping to relations of raw columns."""

    def __init__(self, options: MappedOptions, session_time_zone: str) -> None:
        self.options = options
        self.session_time_zone = session_time_zone
        self.kinds = FIELDS[options.grain]

    @property
    def reading(self) -> str:
        """What this release makes otherwise of pages that an earlier one has read."""
        return " returns have discounts" if "discount_amount" in self.options.columns else ""

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
            meaning = MEANINGS[kind]
            if present[name] not in meaning.accepted:
                raise BadPage(
                    file, f"holds {present[name]}, but must be {meaning.words}", column=name
                )

    def unused(self, names: list[str]) -> set[str]:
        """The columns that the mapping has no use for, without any that may be a row of data."""
        return {name for name in names if name not in self.columns() and not _is_data(name)}

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
        if "street" in typed:
            typed.setdefault("country", ConstantExpression(None).cast("VARCHAR"))
        rows = raw.select(*(value.alias(key) for key, value in typed.items()))

        fields = {
            key: _utc(_named(key)) if self.kinds.get(key) == "instant" else _named(key)
            for key in typed
        }
        if self.options.grain in ("order", "order_line"):
            fields = self._order_line(fields)
        return rows.select(*(value.alias(key) for key, value in self._identified(fields).items()))

    def _identified(self, fields: dict[str, Expression]) -> dict[str, Expression]:
        """Ids with the name of the source that they are known in, and the currency of all."""
        options = self.options
        fields = dict(fields)
        if options.currency and "currency" not in fields and "currency" in self.kinds:
            fields["currency"] = ConstantExpression(options.currency)
        if options.grain == "consent" and "consent_id" not in fields:
            said = ("customer_key", "email", "phone", "channel", "changed_at")
            fields["consent_id"] = _hash(fields[key] for key in said if key in fields)
        customers = options.customers_of or options.name
        if "customer_key" in fields:
            fields["customer_id"] = _prefixed(customers, fields.pop("customer_key"))
        if "order_id" in fields:
            is_told_elsewhere = options.grain in ("survey_answer", "points_redemption")
            owner = customers if is_told_elsewhere else options.name
            fields["order_id"] = _prefixed(owner, fields["order_id"])
        for key in _OWN_KEYS:
            if key in fields:
                fields[key] = _prefixed(options.name, fields[key])
        return fields

    def fault(self, file: str, raw: duckdb.DuckDBPyRelation) -> BadPage | None:
        """The first row and column that do not fit; decodes the page once per mapped column."""
        types = _types(raw)
        required = (*REQUIRED[self.options.grain], *WORTH, "line_id", "currency")
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
                reason = f"cannot be read as {MEANINGS[kind].words}"
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
        return SQLExpression(MEANINGS[kind].unfit)

    def _order_line(self, fields: dict[str, Expression]) -> dict[str, Expression]:
        options = self.options
        fields = dict(fields)
        if "ordered_date" not in fields:
            zone = ConstantExpression(options.time_zone)
            local = FunctionExpression("timezone", zone, _named("ordered_at"))
            fields["ordered_date"] = local.cast("DATE")
        if "street" in fields:
            # An order keeps no more of its address than this.
            del fields["postcode"], fields["street"]
            fields["address_key"] = ADDRESS_KEY
        if options.grain == "order":
            fields["line_id"] = ConstantExpression("1")

        quantity = fields.setdefault("quantity", ConstantExpression(1).cast(MONEY))
        net = fields.pop("net_amount", None)
        worth = fields.get("gross_amount", net)
        if worth is None:
            worth = _multiplied(quantity, fields["unit_price"])
        discount = fields.setdefault("discount_amount", _NOTHING)
        if "discount_amount" in options.columns:
            # Goods that come back take their discount along, whichever sign it is written with.
            discount = CaseExpression(worth < _NOTHING, -discount).otherwise(discount).cast(MONEY)
            fields["discount_amount"] = discount
        if "gross_amount" not in fields:
            fields["gross_amount"] = (worth if net is None else net + discount).cast(MONEY)
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
            value = ConstantExpression(column.value).cast(MEANINGS[kind].type)
            return self._major(value, types) if kind == "amount" else value
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
        value = value.cast(MEANINGS[kind].type)
        if kind == "amount":
            return self._major(value, types)
        # An ENUM is a type of its own; what it has let through is text.
        return value.cast("VARCHAR") if MEANINGS[kind].type.startswith("ENUM") else value

    def _sum(self, names: list[str], types: dict[str, str], is_magnitude: bool) -> Expression:
        """Amounts added up, an empty one as nothing; shops write discounts with either sign."""
        total = _NOTHING
        for name in names:
            amount = self._written(name, "amount", types).cast(MONEY)
            if is_magnitude:
                amount = FunctionExpression("abs", amount)
            total = total + CaseExpression(amount.isnotnull(), amount).otherwise(_NOTHING)
        return self._major(total.cast(MONEY), types)

    def _major(self, amount: Expression, types: dict[str, str]) -> Expression:
        """An amount in its currency, also if it was written in the currency's smallest unit."""
        if self.options.amounts_in == "major_units":
            return amount
        column = self.options.columns.get("currency")
        if column is None or isinstance(column, Constant):
            code = column.value if isinstance(column, Constant) else self.options.currency
            return _shifted(amount, DECIMALS_OF.get(str(code).upper(), USUAL_DECIMALS))
        # Only amounts can be mapped to several columns.
        written = self._written(str(column), "text", types)
        shifted = CaseExpression(written.isnull(), ConstantExpression(None).cast(MONEY))
        for decimals in sorted(set(DECIMALS_OF.values())):
            codes = [ConstantExpression(c) for c, d in DECIMALS_OF.items() if d == decimals]
            is_one = FunctionExpression("upper", written).isin(*codes)
            shifted = shifted.when(is_one, _shifted(amount, decimals))
        return shifted.otherwise(_shifted(amount, USUAL_DECIMALS))

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
        if kind in DECIMALS and self.options.decimal_comma:
            swap = (ConstantExpression(".,"), ConstantExpression("x."))
            value = FunctionExpression("translate", value, *swap)
        return value


@cache
def _is_fit(value: str, kind: Kind) -> bool:
    """Whether a value of a declaration is what a column of the kind must be."""
    with duckdb.connect() as connection:
        told = ConstantExpression(value).alias("value")
        unfit = connection.sql("select 1").select(told).filter(SQLExpression(MEANINGS[kind].unfit))
        return not len(unfit)


def _types(raw: duckdb.DuckDBPyRelation) -> dict[str, str]:
    return dict(zip(raw.columns, (str(kind.id) for kind in raw.types), strict=True))


def _present(names: list[str]) -> str:
    """The columns there are; of a file without a header they would be a row of its data."""
    if any(_is_data(name) for name in names):
        return "the first row looks like data, not like a header (`header: false`?)"
    return "there are: " + ", ".join(repr(name) for name in names)


def _is_data(name: str) -> bool:
    return "@" in name or bool(re.fullmatch(r"[\d\s.,:/+-]+", name))


def _named(name: str) -> Expression:
    # Without quotes the constructor would read a dot as a path into a struct.
    return ColumnExpression(f'"{name}"')


def _prefixed(owner: str, key: Expression) -> Expression:
    return FunctionExpression("||", ConstantExpression(f"{owner}:"), key)


def _hash(values: Iterable[Expression]) -> Expression:
    """What tells records apart that have no key of their own; nothing is not the same as empty."""
    written = (
        CaseExpression(value.isnull(), ConstantExpression("")).otherwise(
            FunctionExpression("||", ConstantExpression("="), value.cast("VARCHAR"))
        )
        for value in values
    )
    separator = ConstantExpression("\x1f")
    return FunctionExpression("md5", FunctionExpression("concat_ws", separator, *written))


def _shifted(amount: Expression, decimals: int) -> Expression:
    return (amount * ConstantExpression(Decimal(1).scaleb(-decimals))).cast(MONEY)


def _multiplied(quantity: Expression, price: Expression) -> Expression:
    """A product has the digits behind both points, so a large one takes a type that is slow."""
    is_small = FunctionExpression("abs", quantity.cast("DOUBLE") * price.cast("DOUBLE")) < _SMALL
    large = quantity.cast("DECIMAL(38,4)") * price
    return CaseExpression(is_small, (quantity * price).cast(MONEY)).otherwise(large.cast(MONEY))


def _utc(instant: Expression) -> Expression:
    """A point in time as a naive timestamp in UTC."""
    return FunctionExpression("make_timestamp", FunctionExpression("epoch_us", instant))


def _first(rows: duckdb.DuckDBPyRelation) -> int | None:
    found = rows.aggregate("min(row_number_in_file)").fetchone()
    return found[0] if found else None


assert set(FIELDS) == set(get_args(Grain))
