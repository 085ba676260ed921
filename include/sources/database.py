"""A shop's own database: what a query of yours brings, on PostgreSQL or on MySQL and MariaDB.

The query asks for rows from `:since` on (and, if it likes, until `:until`), and brings the column
that tells when a row was last changed. It runs in a read-only transaction that sees one instant,
its rows stream through a cursor of the server's, and they land as Parquet in pages of bounded size.
A row that is deleted there is not seen here: have the query bring a status instead.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet
import sqlalchemy as sa
from pydantic import Field, model_validator

from include.connections import Credentials, is_loopback
from include.errors import BadInput, Reauthorise, RegularsError, Retry
from include.sources import polls
from include.sources.base import BadPage, Page, Place, Source, is_about_this_machine
from include.sources.mapping import REQUIRED, MappedOptions, check_columns
from include.sources.mapping import Mapping as ColumnMapping

CONNECT_SECONDS = 30
SINCE, UNTIL = "since", "until"
ENCRYPTIONS = ("disable", "prefer", "require", "verify-ca", "verify-full")
# Before any shop's first order, and within what MySQL calls a TIMESTAMP.
_BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)
# Where nothing is found, but the types of what would be are told.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

# Which minutes the rows of a page lie in, and the sum of their hashes. The session's time zone is
# the one that times without a zone are meant in.
_SUMS = """
    select
        coalesce(
            strftime(make_timestamp(epoch_us(changed_at::timestamptz)), '%Y-%m-%dT%H:%M'), ''
        ) as minute,
        sum(hash(content))::varchar as amount
    from page
    group by minute
"""


class DatabaseOptions(MappedOptions):
    """Which query to run, and how to read what it brings.

    query: the statement itself, or a file that ends in .sql, relative to `sources.yml`.
    cursor_column: one of its columns, an instant or a day, that moves whenever a row changes;
    without one, everything is read every time, which suits small tables. overlap_minutes: how far
    back of the newest change known the next run looks again; more than the longest transaction
    there takes.
    """

    connection: str = "database_default"
    query: str
    cursor_column: str | None = None
    overlap_minutes: int = Field(60, ge=0)

    @model_validator(mode="after")
    def _complete(self) -> DatabaseOptions:
        check_columns(self)
        return self


class Database(Source):
    """The rows of one query."""

    type: ClassVar[str] = "database"
    page_rows: ClassVar[int] = 50_000
    Options = DatabaseOptions
    options: DatabaseOptions

    def __init__(self, options: DatabaseOptions, place: Place) -> None:
        super().__init__(options, place)
        self.mapping = ColumnMapping(options, self.session_time_zone)
        self.query = self._query()

    @property
    def session_time_zone(self) -> str:
        """The zone that times without an offset are meant in."""
        return self.options.times_in or self.options.time_zone

    @property
    def has_line_ids(self) -> bool:
        """Whether `line_id` is filled; else a line is known by its content."""
        return self.options.grain != "order_line" or "line_id" in self.options.columns

    def fingerprint(self) -> str:
        """See `Source.fingerprint`. A release that reads pages otherwise reads them again."""
        return super().fingerprint() + self.mapping.reading

    def pages(self, cursor: Mapping[str, Any]) -> Iterator[Page]:
        """What the query brings since the cursor; see `Source.pages`.

        Raises `Reauthorise` when the login is refused, `Retry` when the database does not answer,
        `BadInput` when it does not take the query.
        """
        # What another query left out would never come, if this one went on where that one ended.
        asked = {"asked": f"{self.query} {self.options.cursor_column}"}
        is_other = cursor.get("asked") != asked["asked"]
        known = {} if self.window or is_other else cursor
        overlap = polls.Overlap(self.options.overlap_minutes, known)
        contents = polls.unless_idle(self._contents(overlap), overlap)
        return polls.pages(contents, lambda: overlap.state() | asked, cursor)

    @contextmanager
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        """See `Source.rows`. A page from before a column was mapped has nothing in it."""
        try:
            raw = connection.from_parquet(str(file), hive_partitioning=False)
            self.unused = {*raw.columns} - {*self.mapping.columns()}
            raw = raw.select("*", *map(_empty, self._later_columns(raw.columns)))
            self.mapping.check(name, raw.columns, [str(kind.id) for kind in raw.types])
            yield self.mapping.project(raw)
        except duckdb.Error as error:
            if is_about_this_machine(error):
                raise
            raise self._explained(connection, name, file) from None

    def test_connection(self) -> tuple[bool, str]:
        """Sign in and ask what the query would bring, without reading a row."""
        try:
            with self._connected() as dialect:
                columns = dialect.columns(self.query)
        except RegularsError as error:
            return False, str(error)
        return True, f"Connected to {dialect.label}; the query brings {len(columns)} columns."

    def _contents(self, overlap: polls.Overlap) -> Iterator[polls.Content]:
        with self._connected() as dialect, duckdb.connect(config={"threads": 1}) as sums:
            sums.execute("set timezone = $zone", {"zone": self.session_time_zone})
            schema = dialect.columns(self.query)
            self._check(schema)
            since, until = self._span(overlap, dialect)
            kind = self._cursor_type(schema)
            for rows in dialect.rows(self.query, since, until, kind, self.page_rows):
                page = _batch(rows, schema, self.name)
                self._note(page, overlap, sums)
                yield ".parquet", _parquet(page)

    def _span(self, overlap: polls.Overlap, dialect: _Dialect) -> tuple[datetime, datetime]:
        if self.window is None:
            since = overlap.since or _BEGINNING
            # Where the clock will be put back, times without a zone go back with it.
            local = since.astimezone(ZoneInfo(self.session_time_zone))
            since -= local.replace(fold=1).astimezone(UTC) - since
            return since, dialect.now()
        if self.options.cursor_column is None:
            raise BadInput(f"source {self.name} has no days to ask for, as it has no cursor_column")
        zone = ZoneInfo(self.options.time_zone)
        days = (self.window.first, self.window.last + timedelta(days=1))
        since, until = (datetime.combine(day, time(), zone).astimezone(UTC) for day in days)
        return since, until

    def _cursor_type(self, schema: pa.Schema) -> pa.DataType:
        column = self.options.cursor_column
        return schema.field(column).type if column else pa.null()

    def _note(
        self, page: pa.RecordBatch, overlap: polls.Overlap, sums: duckdb.DuckDBPyConnection
    ) -> None:
        """Tell the overlap when the page's rows were changed, and what they are."""
        column = self.options.cursor_column
        changed_at = page[column] if column else pa.nulls(page.num_rows, pa.timestamp("us"))
        content = page.to_struct_array()
        sums.register("page", pa.table({"changed_at": changed_at, "content": content}))
        for minute, amount in sums.execute(_SUMS).fetchall():
            overlap.add(minute, int(amount))

    def _query(self) -> sa.TextClause:
        where = f"{self.place.file}, {self.name}, query"
        text = self.options.query.strip()
        if text.endswith(".sql") and len(text.split()) == 1:
            file = self.place.file.parent / text
            if not file.is_file():
                raise BadInput(f"{where}: there is no file {text}")
            text = file.read_text(encoding="utf-8-sig").strip()
        query = sa.text(text.rstrip(";"))
        bound = set(query.compile().params)
        if unknown := bound - {SINCE, UNTIL}:
            raise BadInput(f"{where}: :{min(unknown)} is neither :since nor :until")
        if bool(self.options.cursor_column) is not (SINCE in bound):
            raise BadInput(f"{where}: :since and a cursor_column go together")
        return query

    def _check(self, schema: pa.Schema) -> None:
        """Raise `BadInput` if the query does not bring what the declaration speaks of."""
        where = f"{self.place.file}, {self.name}"
        known = ", ".join(schema.names)
        if twice := [name for name in schema.names if schema.names.count(name) > 1]:
            raise BadInput(f"{where}, query: brings the column {twice[0]!r} twice")
        for column in self.mapping.columns():
            if column not in schema.names:
                raise BadInput(f"{where}, columns: the query brings no {column!r}; only {known}")
        changed = self.options.cursor_column
        if changed is None:
            return
        if changed not in schema.names:
            raise BadInput(f"{where}, cursor_column: the query brings no {changed!r}; only {known}")
        kind = schema.field(changed).type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise BadInput(f"{where}, cursor_column: {changed!r} is neither an instant nor a day")

    def _later_columns(self, present: Sequence[str]) -> list[str]:
        mapped = self.options.columns
        required = {str(mapped[key]) for key in REQUIRED[self.options.grain] if key in mapped}
        return [name for name in self.mapping.columns() if name not in {*present, *required}]

    def _explained(self, connection: duckdb.DuckDBPyConnection, name: str, file: Path) -> BadPage:
        """What is wrong with a page, without any of its values (DuckDB's own text quotes them)."""
        try:
            raw = connection.from_parquet(str(file), hive_partitioning=False)
            found = self.mapping.fault(name, raw)
        except duckdb.Error:
            found = None
        return found or BadPage(name, "it cannot be decoded: damaged, cut or half-written")

    @contextmanager
    def _connected(self) -> Iterator[_Dialect]:
        name = self.options.connection
        dialect = _dialect(self.place.credentials(name), name, self.session_time_zone)
        try:
            with dialect.engine.connect() as connection:
                dialect.begin(connection)
                yield dialect
        except sa.exc.DBAPIError as error:
            raise dialect.explained(error) from None
        finally:
            dialect.engine.dispose()


class _Dialect(ABC):
    """One kind of database: how to sign in, what its types are, what its errors mean."""

    label: ClassVar[str]
    driver: ClassVar[str]
    connection: sa.Connection

    def __init__(self, credentials: Credentials, name: str, zone: str) -> None:
        self.name = name
        self.zone = zone
        if not credentials.host:
            raise BadInput(f"connection {name} has no host")
        # What the shop's customers wrote travels encrypted, unless somebody says otherwise.
        usual = "prefer" if is_loopback(credentials.host) else "require"
        encryption = credentials.extra.get("sslmode", usual)
        if encryption not in ENCRYPTIONS:
            raise BadInput(f"connection {name}: sslmode is one of {', '.join(ENCRYPTIONS)}")
        url = sa.URL.create(
            self.driver,
            username=credentials.login,
            password=credentials.require_password(name),
            host=credentials.host,
            port=credentials.port,
            database=credentials.schema,
        )
        arguments = {"connect_timeout": CONNECT_SECONDS, **self.arguments(credentials, encryption)}
        self.engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)

    @abstractmethod
    def arguments(self, credentials: Credentials, encryption: str) -> dict[str, Any]:
        """What the driver wants to know besides the address. `encryption`: of `ENCRYPTIONS`."""

    @abstractmethod
    def begin(self, connection: sa.Connection) -> None:
        """Make the connection read only, with one view of the data, and clocks we understand."""

    @abstractmethod
    def now(self) -> datetime:
        """The database's own clock, in UTC."""

    @abstractmethod
    def type_of(self, column: Any) -> pa.DataType:
        """The Arrow type of a described column; text where there is no other that holds it all."""

    @abstractmethod
    def bound(self, instant: datetime, kind: pa.DataType) -> datetime:
        """An instant in UTC, to be compared with a column of this type."""

    @abstractmethod
    def meaning(self, error: sa.exc.DBAPIError) -> tuple[type[RegularsError], str]:
        """What to do about an error, and what may be told of it."""

    def columns(self, query: sa.TextClause) -> pa.Schema:
        """The names and types of what the query brings."""
        with self._result(query, _NEVER, _NEVER, pa.null()) as result:
            described = list(result.cursor.description) if result.cursor else []
        return pa.schema([(column[0], self.type_of(column)) for column in described])

    def rows(
        self, query: sa.TextClause, since: datetime, until: datetime, kind: pa.DataType, size: int
    ) -> Iterator[Sequence[Sequence[Any]]]:
        """What the query brings, `size` rows at a time. `kind`: the cursor column's type."""
        with self._result(query, since, until, kind) as result:
            yield from result.partitions(size)

    def explained(self, error: sa.exc.DBAPIError) -> RegularsError:
        """An error in our words: drivers quote values, and values are personal."""
        kind, told = self.meaning(error)
        if kind is Reauthorise:
            return Reauthorise(f"{self.label} refuses connection {self.name}: {told}")
        if kind is Retry:
            return Retry(f"{self.label} of connection {self.name} does not answer: {told}")
        return kind(f"{self.label} of connection {self.name} does not take the query: {told}")

    @contextmanager
    def _result(
        self, query: sa.TextClause, since: datetime, until: datetime, kind: pa.DataType
    ) -> Iterator[sa.CursorResult[Any]]:
        instants = {SINCE: since, UNTIL: until}
        bound = {name: self.bound(instants[name], kind) for name in query.compile().params}
        result = self.connection.execute(query, bound, execution_options={"stream_results": True})
        try:
            yield result
        finally:
            result.close()


class _Postgres(_Dialect):
    label = "PostgreSQL"
    driver = "postgresql+psycopg"
    types: ClassVar[dict[int, pa.DataType]] = {
        16: pa.bool_(),
        20: pa.int64(),
        21: pa.int64(),
        23: pa.int64(),
        700: pa.float64(),
        701: pa.float64(),
        1082: pa.date32(),
        1114: pa.timestamp("us"),
        1184: pa.timestamp("us", tz="UTC"),
    }
    numeric = 1700
    # A login that fails has no code, only a text.
    refusals = ("authentication failed", "no pg_hba.conf entry", "does not exist", "no password")

    def arguments(self, credentials: Credentials, encryption: str) -> dict[str, Any]:
        authority = credentials.extra.get("sslrootcert")
        return {"sslmode": encryption, **({"sslrootcert": authority} if authority else {})}

    def begin(self, connection: sa.Connection) -> None:
        self.connection = connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        # A timestamp without a zone is compared with `:since` in the session's zone.
        zone = sa.text("select set_config('TimeZone', :zone, true)")
        self.connection.execute(zone, {"zone": self.zone})

    def now(self) -> datetime:
        clock: datetime = self.connection.execute(sa.text("select now()")).scalar_one()
        return clock.astimezone(UTC)

    def type_of(self, column: Any) -> pa.DataType:
        if column.type_code == self.numeric:
            return _decimal(column.precision, column.scale)
        return self.types.get(column.type_code, pa.string())

    def bound(self, instant: datetime, kind: pa.DataType) -> datetime:
        return instant

    def meaning(self, error: sa.exc.DBAPIError) -> tuple[type[RegularsError], str]:
        cause: Any = error.orig
        state: str | None = getattr(cause, "sqlstate", None)
        if state is None:
            if not isinstance(error, sa.exc.OperationalError):
                return BadInput, f"a value that cannot be read ({type(cause).__name__})"
            if any(sign in str(cause) for sign in self.refusals):
                return Reauthorise, "the login, the password or the database's name is wrong"
            return Retry, "no connection"
        if state.startswith("28") or state == "42501":
            return Reauthorise, f"{type(cause).__name__} (SQLSTATE {state})"
        if state.startswith(("08", "40", "53", "57")) or state == "55P03":
            return Retry, f"{type(cause).__name__} (SQLSTATE {state})"
        # What is wrong with a statement's wording quotes the statement, not the data.
        told = cause.diag.message_primary if state.startswith("42") else type(cause).__name__
        return BadInput, f"{told} (SQLSTATE {state})"


class _MySql(_Dialect):
    label = "MySQL"
    driver = "mysql+pymysql"
    types: ClassVar[dict[int, pa.DataType]] = {
        1: pa.int64(),
        2: pa.int64(),
        3: pa.int64(),
        4: pa.float64(),
        5: pa.float64(),
        7: pa.timestamp("us", tz="UTC"),
        8: pa.int64(),
        9: pa.int64(),
        10: pa.date32(),
        12: pa.timestamp("us"),
        13: pa.int64(),
    }
    decimals = (0, 246)
    refused = (1044, 1045, 1049, 1142, 1143, 1227, 1698)
    busy = (1040, 1053, 1203, 1205, 1213, 2002, 2003, 2006, 2013)
    wording = (1054, 1064, 1146, 1305)

    def arguments(self, credentials: Credentials, encryption: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {"charset": "utf8mb4"}
        if encryption == "require":
            arguments["ssl"] = {"verify_mode": "none"}
        elif encryption.startswith("verify"):
            arguments["ssl_ca"] = credentials.require_option("sslrootcert", self.name)
            arguments["ssl_verify_cert"] = True
            arguments["ssl_verify_identity"] = encryption == "verify-full"
        return arguments

    def begin(self, connection: sa.Connection) -> None:
        self.connection = connection
        # A TIMESTAMP is shown in the session's zone, a DATETIME as it was written.
        connection.exec_driver_sql("set time_zone = '+00:00'")
        connection.exec_driver_sql(
            "set session transaction isolation level repeatable read, read only"
        )

    def now(self) -> datetime:
        clock: datetime = self.connection.execute(sa.text("select utc_timestamp(6)")).scalar_one()
        return clock.replace(tzinfo=UTC)

    def type_of(self, column: Any) -> pa.DataType:
        _, code, _, _, length, scale, _ = column
        if code not in self.decimals:
            return self.types.get(code, pa.string())
        # The length counts the sign and the point.
        return _decimal(length - 1 - bool(scale), scale)

    def bound(self, instant: datetime, kind: pa.DataType) -> datetime:
        is_zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        zone = UTC if is_zoned else ZoneInfo(self.zone)
        return instant.astimezone(zone).replace(tzinfo=None)

    def meaning(self, error: sa.exc.DBAPIError) -> tuple[type[RegularsError], str]:
        cause: Any = error.orig
        code = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
        if code in self.refused:
            return Reauthorise, f"error {code}"
        if code in self.busy:
            return Retry, f"error {code}"
        # What is wrong with a statement's wording quotes the statement, not the data.
        told = f"{cause.args[1]} " if code in self.wording else ""
        return BadInput, f"{told}(error {code})"


_DIALECTS: dict[str, type[_Dialect]] = {
    "postgres": _Postgres,
    "postgresql": _Postgres,
    "mysql": _MySql,
    "mariadb": _MySql,
}


def _dialect(credentials: Credentials, name: str, zone: str) -> _Dialect:
    kind = credentials.extra.get("dialect") or credentials.kind or ""
    if kind not in _DIALECTS:
        raise BadInput(f"connection {name}: `dialect` in its extra is postgresql or mysql")
    return _DIALECTS[kind](credentials, name, zone)


def _decimal(precision: int | None, scale: int | None) -> pa.DataType:
    """A decimal's type. One without bounds travels as text, which is as exact."""
    if precision is None or scale is None or not 0 <= scale <= precision <= 38:
        return pa.string()
    return pa.decimal128(precision, scale)


def _batch(rows: Sequence[Sequence[Any]], schema: pa.Schema, source: str) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), schema, strict=True)
    arrays = [_array(values, field, source) for values, field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], field: pa.Field, source: str) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError):
        if not pa.types.is_string(field.type):
            reason = f"the column {field.name!r} holds a value that is no {field.type}"
            raise BadInput(f"source {source}: {reason}") from None
    return pa.array([_text(value) for value in values], field.type)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _parquet(batch: pa.RecordBatch) -> BinaryIO:
    content = BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_batches([batch]), content, compression="zstd")
    return content


def _empty(column: str) -> duckdb.Expression:
    return duckdb.ConstantExpression(None).cast("VARCHAR").alias(column)
