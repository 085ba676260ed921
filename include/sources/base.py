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
from phonenumbers import SUPPORTED_REGIONS
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
    "points_redemption",
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
    "points_redemptions",
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
    "points_redemption": "points_redemptions",
    "ad_spend": "ad_spend",
    "erasure_request": "erasure_requests",
    "exchange_rate": "exchange_rates",
}
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; an example is Europe/London")
    return name


def _known_country(code: str) -> str:
    if code not in SUPPORTED_REGIONS:
        raise ValueError(f"{code!r} is no country code of two letters; an example is GB")
    return code


TimeZone = Annotated[str, AfterValidator(_known_zone)]
Country = Annotated[str, AfterValidator(_known_country)]


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
    excluded_order_statuses: orders whose status is one of these are no sales (failed, draft).
    identical_lines: whether equal lines of one order are kept or are one.
    overlapping_parts: a column whose values name parts of a file that repeat each other's rows.
    """

    cancellation_prefix: str | None = None
    excluded_order_prefix: list[str] = []
    excluded_order_statuses: list[str] = []
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
    phone_country: whose phone numbers these are where a row names no country (DE).
    max_bad_pages: how many pages of one load may go to quarantine before the load stops.
    """

    name: Name
    type: str
    grain: Grain
    time_zone: TimeZone = "UTC"
    customers_of: Name | None = None
    products_of: Name | None = None
    phone_country: Country | None = None
    max_bad_pages: int = Field(0, ge=0)
    rules: Rules = Rules()


@dataclass(frozen=True)
class Place:
    """Where a declaration stands: its file, the home that `${REGULARS_HOME}` means, who knows the
    connections that it names, and the URL of the store.
    """

    file: Path
    home: Path
    credentials: Callable[[str], Credentials] = field(default=read_connection, repr=False)
    store: str = ""


@dataclass(frozen=True)
class Window:
    """The days of a backfill, both included."""

    first: date
    last: date


@dataclass(frozen=True)
class Page:
    """A piece of a source that never changes: a file, or one reply of an interface.

    name: what it is called there, unique in the source; replies are named so that they sort by the
    time they were fetched. version: what tells two contents under one name apart without reading
    them. cursor: only of a reply; how far the source is read once it and all before it are merged.
    """

    name: str
    modified_at: datetime
    version: Callable[[], str] = field(repr=False)
    open: Callable[[], BinaryIO] = field(repr=False)
    cursor: Mapping[str, Any] | None = None


class Source(ABC):
    """One entry of `sources.yml`. A subclass with a `type` registers itself under it."""

    type: ClassVar[str]
    # Whether the source can be asked for the days of a window alone.
    has_windows: ClassVar[bool] = True
    # Whether a product always comes with all its SKUs, so that it has none but those.
    has_whole_products: ClassVar[bool] = False
    # Options that say how pages are got hold of, not what is read in them.
    fetching: ClassVar[frozenset[str]] = frozenset({"path", "connection", "max_bad_pages"})
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
        # Columns or paths of the page read last that `rows` has no use for. Landing reports what
        # is new among them, once.
        self.unused: set[str] = set()

    @property
    def name(self) -> str:
        """What the source is called in `sources.yml`, in paths and in identifiers."""
        return str(self.options.name)

    @property
    def table(self) -> Table:
        """The raw table that the rows go to; the grain's, unless orders are whole documents."""
        return TABLES[self.options.grain]

    @property
    def may_be_empty(self) -> bool:
        """Whether nothing at all is no sign of a fault: nobody need have withdrawn or answered."""
        return self.options.grain in (
            "consent",
            "survey_answer",
            "points_redemption",
            "ad_spend",
            "erasure_request",
        )

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
        """The pages there are, fetched one by one while the caller asks for the next.

        Files: all of them, in an order that does not matter; `BadInput` if there is none. Replies
        of an interface: what is new since `cursor`, which is the last merged reply's `Page.cursor`
        (empty at first), each with the cursor that it leads to; nothing if nothing is new.
        """

    @abstractmethod
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> AbstractContextManager[duckdb.DuckDBPyRelation]:
        """A landed page, for one block: rows in the page's order, canonical columns of the table.

        Columns without values may be left out (`include/sql/raw_tables.sql` says which there are
        and which must be filled; landing fills its own). Rows are decoded lazily, so the block must
        use them up before it trusts them. Whatever does not fit, before, within or at the end of
        the block, is raised as `BadPage`. `connection` reads times without an offset in
        `session_time_zone`; `workspace` may be written to.
        """

    def fingerprint(self) -> str:
        """Changes whenever the declaration would read the same pages into other rows."""
        meaning = self.options.model_dump_json(
            exclude={*self.fetching, "rules"}, exclude_defaults=True
        )
        parts = self.options.rules.overlapping_parts or ""
        return hashlib.sha256(f"{meaning} {parts}".encode()).hexdigest()


class BadPage(BadInput):
    """A page that cannot be read. It never holds a value of the page, which may be personal.

    row: counted from 1 without the header; line: of the file, from 1; byte: offset from 0. record:
    the order's, customer's ... own id, where the page's records have one; path: into the record
    (`lines[].quantity`).
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
        record: str | None = None,
        path: str | None = None,
    ) -> None:
        self.page, self.reason = page, reason
        places = {
            "row": row,
            "line": line,
            "column": column,
            "byte": byte,
            "record": record,
            "path": path,
        }
        self.place = {kind: value for kind, value in places.items() if value is not None}
        where = ", ".join([page, *(f"{kind} {value!r}" for kind, value in self.place.items())])
        super().__init__(f"{where}: {reason}")


def is_about_this_machine(error: duckdb.Error) -> bool:
    """Whether an error is about this machine (memory, disk, a signal), not about a page."""
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException):
        return True
    text = str(error).lower()
    signs = ("could not write", "no space left", "temporary directory", "corrupt database")
    return isinstance(error, duckdb.IOException) and any(sign in text for sign in signs)
