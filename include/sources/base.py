"""The contract a source honours: immutable pages, and how to read one in our own words.

A source says which pages there are and turns a landed page into rows with the canonical columns of
its grain. Fetching once, keeping, merging and committing are landing's business, not a source's.
"""

from __future__ import annotations

import builtins
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Literal
from zoneinfo import available_timezones

import duckdb
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from include.connections import Credentials, read_connection
from include.errors import BadInput

Grain = Literal[
    "order_line",
    "order",
    "contact",
    "product",
    "consent",
    "survey_answer",
    "ad_spend",
    "erasure_request",
    "exchange_rate",
]
Table = Literal[
    "order_lines",
    "orders",
    "contacts",
    "products",
    "consents",
    "survey_answers",
    "ad_spend",
    "erasure_requests",
    "exchange_rates",
]
TABLES: dict[Grain, Table] = {
    "order_line": "order_lines",
    "order": "order_lines",
    "contact": "contacts",
    "product": "products",
    "consent": "consents",
    "survey_answer": "survey_answers",
    "ad_spend": "ad_spend",
    "erasure_request": "erasure_requests",
    "exchange_rate": "exchange_rates",
}
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; an example is Europe/London")
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


class Strict(BaseModel):
    """A declaration that refuses keys it does not know and values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Rules(Strict):
    """What is peculiar to a shop's orders; staging applies them, landing only writes them down.

    cancellation_prefix: an order key that begins so is a cancellation.
    excluded_order_prefix: order keys that begin so are no orders (bad debt and the like).
    non_product_skus, non_product_sku_prefixes: codes of postage, fees, vouchers; case matters.
    write_off_without_price: a negative quantity at price 0 outside a cancellation is a write-off.
    sku_case: `upper` when one product's code is written in both cases.
    identical_lines: whether equal lines of one order are kept or are one.
    overlapping_parts: a column whose values name parts of a file that repeat each other's rows.
    """

    cancellation_prefix: str | None = None
    excluded_order_prefix: list[str] = []
    non_product_skus: list[str] = []
    non_product_sku_prefixes: list[str] = []
    write_off_without_price: bool | None = None
    sku_case: Literal["upper"] | None = None
    identical_lines: Literal["keep", "drop"] | None = None
    overlapping_parts: str | None = None

    def rows(self) -> list[dict[str, str]]:
        """The rules that are set, one {rule, value} per value."""
        rows = []
        for rule, setting in self.model_dump(exclude_defaults=True).items():
            for value in setting if isinstance(setting, list) else [setting]:
                rows.append({"rule": rule, "value": str(value).lower() if value is True else value})
        return rows


class SourceOptions(Strict):
    """What every source of `sources.yml` may say.

    customers_of: the source whose customers these are, when contacts come from elsewhere than
    orders; products_of likewise. time_zone: the shop's, in which its days begin and end.
    """

    name: Name
    type: str
    grain: Grain
    time_zone: TimeZone = "UTC"
    customers_of: Name | None = None
    products_of: Name | None = None
    rules: Rules = Rules()


@dataclass(frozen=True)
class Place:
    """Where a declaration stands: its file, the home that `${REGULARS_HOME}` means, and who knows
    the connections that it names.
    """

    file: Path
    home: Path
    credentials: Callable[[str], Credentials] = field(default=read_connection, repr=False)


@dataclass(frozen=True)
class Window:
    """The days of a backfill, both included."""

    first: date
    last: date


@dataclass(frozen=True)
class Page:
    """A piece of a source that never changes: a file, or one reply of an interface.

    name: what it is called there, unique in the source. version: what tells two contents under one
    name apart without reading them. cursor: how far the source is read once this page is merged.
    """

    name: str
    modified_at: datetime
    version: Callable[[], str] = field(repr=False)
    open: Callable[[], BinaryIO] = field(repr=False)
    cursor: Mapping[str, Any] | None = None


class Source(ABC):
    """One entry of `sources.yml`. A subclass with a `type` registers itself under it."""

    type: ClassVar[str]
    Options: ClassVar[builtins.type[SourceOptions]]
    registry: ClassVar[dict[str, builtins.type[Source]]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if not inspect.isabstract(cls):
            Source.registry[cls.type] = cls

    def __init__(self, options: Any, place: Place) -> None:
        self.options = options
        self.place = place
        # Set for a backfill: only what belongs to these days is wanted, and the cursor stays.
        self.window: Window | None = None

    @property
    def name(self) -> str:
        """What the source is called in `sources.yml`, in paths and in identifiers."""
        return str(self.options.name)

    @property
    def table(self) -> Table:
        """The raw table that the rows go to; the grain's, unless orders are whole documents."""
        return TABLES[self.options.grain]

    @property
    def session_time_zone(self) -> str:
        """The zone that times without an offset are meant in."""
        return str(self.options.time_zone)

    @property
    def has_line_ids(self) -> bool:
        """Whether `line_id` is filled; else a line is known by its content."""
        return True

    @abstractmethod
    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        """The pages there are, in an order that does not matter. Raises `BadInput` if none."""

    @abstractmethod
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> AbstractContextManager[duckdb.DuckDBPyRelation]:
        """A landed page, for one block: rows in the page's order, canonical columns of the grain.

        Rows are decoded lazily, so the block must use them up before it trusts them. Whatever does
        not fit, before, within or at the end of the block, is raised as `BadPage`. `connection`
        reads times without an offset in `session_time_zone`; `workspace` may be written to.
        """

    def fingerprint(self) -> str:
        """Changes whenever the declaration would read the same pages into other rows."""
        meaning = self.options.model_dump_json(exclude={"path", "rules"}, exclude_defaults=True)
        parts = self.options.rules.overlapping_parts or ""
        return hashlib.sha256(f"{meaning} {parts}".encode()).hexdigest()


class BadPage(BadInput):
    """A page that cannot be read. It never holds a value of the page, which may be personal.

    row: counted from 1 without the header; line: of the file, from 1; byte: offset from 0.
    """

    def __init__(
        self,
        page: str,
        reason: str,
        *,
        row: int | None = None,
        line: int | None = None,
        column: str | None = None,
        byte: int | None = None,
    ) -> None:
        self.page, self.reason = page, reason
        places = {"row": row, "line": line, "column": column, "byte": byte}
        self.place = {kind: value for kind, value in places.items() if value is not None}
        where = ", ".join([page, *(f"{kind} {value!r}" for kind, value in self.place.items())])
        super().__init__(f"{where}: {reason}")
