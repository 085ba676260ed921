"""Files of any shop's export: Parquet, CSV and JSON Lines (the last two plain, gzip or zstd).

The path is a file, a folder or a glob, on a disk or on an object store.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib.resources
import io
import json
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, ClassVar, Literal, cast

import duckdb
import fsspec
import zstandard
from pydantic import Field, model_validator

from include.errors import BadInput
from include.sources.base import BadPage, Page, Place, Source, is_about_this_machine
from include.sources.mapping import DECIMALS, MEANINGS, Kind, MappedOptions, Mapping, check_columns

Format = Literal["parquet", "csv", "jsonl"]

_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
PACKAGE = "package:"
Compression = Literal["gzip", "zstd"]

_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
_CHUNK = 1 << 20


class FilesOptions(MappedOptions):
    """How to find and read the files.

    path: absolute, relative to `sources.yml`, `~/...`, `${REGULARS_HOME}/...`, a URL that fsspec
    knows (`s3://bucket/...`), or `package:<name>/<path>` for a file inside an installed package.
    connection: who signs in at an object store, and where it is; by default the machine does.
    format: when the file's suffix does not say it. quote, escape: of CSV, empty for none; by
    default a quote is written twice.
    """

    path: str
    connection: str | None = None
    format: Format | None = None
    delimiter: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', max_length=1)
    escape: str | None = Field(None, max_length=1)
    encoding: str = "utf-8"
    header: bool = True

    @model_validator(mode="after")
    def _complete(self) -> FilesOptions:
        check_columns(self)
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(f"encoding: {self.encoding!r} is unknown") from None
        return self


class Files(Source):
    """A shop's export as files; each file is one page, known by its name and its content."""

    type: ClassVar[str] = "files"
    has_windows = False
    Options = FilesOptions
    options: FilesOptions

    def __init__(self, options: FilesOptions, place: Place) -> None:
        super().__init__(options, place)
        self.mapping = Mapping(options, self.session_time_zone)

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

    def pages(self, cursor: Any) -> Iterator[Page]:
        """Every file at the path. Raises `BadInput` naming the path when there is none."""
        path = _resolved(self.options.path, self.place)
        filesystem, root = fsspec.core.url_to_fs(path, **self._signed_in(path))
        found = self._found(filesystem, str(root))
        if not found:
            where = f"{self.place.file}, {self.name}"
            kinds = ", ".join(_SUFFIXES)
            raise BadInput(f"{where}, path: no file at {root} ({kinds}; .gz and .zst too)")
        for name, path in sorted(found.items()):
            yield Page(
                name=name,
                modified_at=_modified_at(filesystem, path),
                version=partial(_version, filesystem, path),
                open=partial(filesystem.open, path, "rb"),
            )

    def _signed_in(self, path: str) -> dict[str, Any]:
        """What the file system has to be told, where a connection is named."""
        connection = self.options.connection
        if connection is None:
            return {}
        if not path.startswith("s3://"):
            raise BadInput(
                f"{self.place.file}, {self.name}, connection: only a path that begins with s3://"
                " can have one"
            )
        credentials = self.place.credentials(connection)
        there = {key: credentials.extra.get(key) for key in ("endpoint_url", "region_name")}
        return {
            "key": credentials.login,
            "secret": credentials.require_password(connection),
            "client_kwargs": {key: value for key, value in there.items() if value},
        }

    def _found(self, filesystem: Any, root: str) -> dict[str, str]:
        if filesystem.isfile(root):
            return {PurePosixPath(root).name: root}
        if filesystem.isdir(root):
            paths = [entry["name"] for entry in filesystem.ls(root, detail=True)]
            base = PurePosixPath(root)
        else:
            paths = filesystem.glob(root)
            parts = PurePosixPath(root).parts
            fixed = [n for n, part in enumerate(parts) if re.search(r"[*?\[]", part)]
            base = PurePosixPath(*parts[: fixed[0] if fixed else len(parts) - 1])
        readable = (path for path in paths if filesystem.isfile(path) and self._format(path))
        return {str(PurePosixPath(path).relative_to(base)): path for path in readable}

    def _format(self, name: str) -> Format | None:
        base = PurePosixPath(name).name
        if base.startswith((".", "_")):
            return None
        plain = PurePosixPath(base.lower())
        if plain.suffix in _COMPRESSIONS:
            plain = plain.with_suffix("")
        return self.options.format or _SUFFIXES.get(plain.suffix)

    @contextmanager
    def rows(
        self, connection: duckdb.DuckDBPyConnection, name: str, file: Path, workspace: Path
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        """See `Source.rows`."""
        form = self._format(name)
        if form is None:
            raise BadPage(name, f"the suffix is none of {', '.join(_SUFFIXES)}; set `format`")
        if file.stat().st_size == 0:
            raise BadPage(name, "the file is empty (0 bytes)")
        reader = _READERS[form](connection, name, file, self.options, self.mapping.columns())
        reader.to_utf8(workspace)
        with ThreadPoolExecutor(max_workers=1) as pool:
            intact = pool.submit(reader.check_bytes)
            try:
                names, types = reader.schema()
                self.mapping.check(name, names, types)
                self.unused = self.mapping.unused(names)
                yield self.mapping.project(reader.relation(reader.mapped))
            except duckdb.Error as error:
                if is_about_this_machine(error):
                    raise
                # Broken bytes explain more than what the decoder could make of them.
                intact.result()
                raise self._explained(reader, error) from None
            intact.result()

    def _explained(self, reader: _Reader, error: duckdb.Error) -> BadPage:
        """What is wrong with a page, without any of its values (DuckDB's own text quotes them)."""
        try:
            found = reader.explain(error) or self.mapping.fault(
                reader.name, reader.relation(dict.fromkeys(reader.mapped, "text"))
            )
        except duckdb.Error:
            found = None
        return found or BadPage(reader.name, "it cannot be decoded: damaged, cut or half-written")


class _Reader:
    """One landed file in one format."""

    form: ClassVar[Format]

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        file: Path,
        options: FilesOptions,
        mapped: dict[str, Kind],
    ) -> None:
        self.connection = connection
        self.name = name
        self.file = file
        self.options = options
        self.mapped = mapped
        suffix = PurePosixPath(name.lower()).suffix
        self.compression = _COMPRESSIONS.get(suffix) if self.form != "parquet" else None

    def schema(self) -> tuple[list[str], list[str]]:
        """Column names, and their types as `mapping` knows them."""
        raise NotImplementedError

    def relation(self, columns: dict[str, Kind]) -> duckdb.DuckDBPyRelation:
        """The raw rows, lazily, at least the named columns."""
        raise NotImplementedError

    def explain(self, error: duckdb.Error) -> BadPage | None:
        """What the format itself can say about an error."""
        return None

    def to_utf8(self, workspace: Path) -> None:
        """Go on with a copy in plain UTF-8 if the file is text that DuckDB would not read."""

    def check_bytes(self) -> None:
        """Raise `BadPage` if the bytes are broken in a way that DuckDB does not notice."""

    def _open(self) -> IO[bytes]:
        if self.compression == "gzip":
            return cast(IO[bytes], gzip.open(self.file))
        if self.compression == "zstd":
            return io.BufferedReader(_Zstd(self.file.open("rb")), _CHUNK)
        return self.file.open("rb")

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        try:
            yield
        except EOFError:
            raise BadPage(self.name, f"the {self.compression} stream is cut") from None
        except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError):
            raise BadPage(self.name, f"broken {self.compression}") from None
        except UnicodeDecodeError as error:
            reason = f"the text is not {self.options.encoding}"
            raise BadPage(self.name, reason, byte=error.start) from None


class _Zstd(io.RawIOBase):
    """The text of a zstd stream of any number of frames; `EOFError` if the last one is cut."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = b""
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._text:
            block = self._rest or self._file.read(_CHUNK)
            self._rest = b""
            if not block:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._text = memoryview(self._frame.decompress(block))
            if self._frame.eof:
                self._rest = self._frame.unused_data
                self._frame = None
        size = min(len(buffer), len(self._text))
        buffer[:size], self._text = self._text[:size], self._text[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


class _Parquet(_Reader):
    form = "parquet"

    def schema(self) -> tuple[list[str], list[str]]:
        raw = self.relation({})
        return raw.columns, [str(kind.id) for kind in raw.types]

    def relation(self, columns: dict[str, Kind]) -> duckdb.DuckDBPyRelation:
        return self.connection.from_parquet(str(self.file), hive_partitioning=False)


class _Text(_Reader):
    def to_utf8(self, workspace: Path) -> None:
        encoding = self._encoding()
        if encoding is None:
            return
        copy = workspace / f"{self.file.name}.utf8"
        with self._unbroken(), self._open() as source, copy.open("w", encoding="utf-8") as target:
            decoder = codecs.getincrementaldecoder(encoding)()
            at = 0
            while chunk := source.read(_CHUNK):
                try:
                    target.write(decoder.decode(chunk))
                except UnicodeDecodeError as error:
                    error.start += at
                    raise
                at += len(chunk)
            target.write(decoder.decode(b"", final=True))
        self.file, self.compression = copy, None

    def check_bytes(self) -> None:
        if not (self.compression or self.form == "csv"):
            return
        at = 0
        with self._unbroken(), self._open() as file:
            while chunk := file.read(_CHUNK):
                if self.form == "csv" and (nul := chunk.find(0)) >= 0:
                    raise BadPage(self.name, "a NUL byte; is it UTF-16, or torn?", byte=at + nul)
                at += len(chunk)

    def _encoding(self) -> str | None:
        """The encoding to rewrite from; None if DuckDB reads the file as it is."""
        is_utf8 = codecs.lookup(self.options.encoding).name in ("utf-8", "utf-8-sig", "ascii")
        return None if is_utf8 else self.options.encoding


class _Csv(_Text):
    form = "csv"

    def schema(self) -> tuple[list[str], list[str]]:
        first = self._first_record()
        names = first if self.options.header else [f"column{n}" for n in range(len(first))]
        twice = [name for name in self.mapped if names.count(name) > 1]
        if twice:
            raise BadPage(self.name, "the column stands twice in the header", column=twice[0])
        return names, ["varchar"] * len(names)

    def relation(self, columns: dict[str, Kind]) -> duckdb.DuckDBPyRelation:
        names, _ = self.schema()
        # DuckDB wants each name once, whatever their case; only the mapped ones matter.
        unique = {
            name if name in columns else f"{n}: {name}": "VARCHAR" for n, name in enumerate(names)
        }
        return self.connection.read_csv(
            str(self.file),
            columns=unique,
            header=self.options.header,
            delimiter=self.options.delimiter,
            quotechar=self.options.quote,
            escapechar=self.options.quote if self.options.escape is None else self.options.escape,
            compression=self.compression,
            auto_detect=False,
        )

    def explain(self, error: duckdb.Error) -> BadPage | None:
        text = str(error)
        line = re.search(r"CSV Error on Line: (\d+)", text)
        if not line:
            return None
        wanted = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
        if wanted:
            reason = f"{wanted[2]} columns instead of {wanted[1]}"
        elif "Invalid unicode" in text:
            reason = f"the text is not {self.options.encoding}; set `encoding`"
        elif "unterminated quote" in text:
            reason = "a quote is not closed"
        else:
            reason = "the line is not CSV"
        return BadPage(self.name, reason, line=int(line[1]))

    def _first_record(self) -> list[str]:
        with self._unbroken(), self._open() as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            record = next(csv.reader(text, self._dialect()), None)
        if record is None:
            raise BadPage(self.name, "there is not even a header")
        return record

    def _dialect(self) -> type[csv.Dialect]:
        """The same way of writing, for Python."""
        options = self.options

        class Dialect(csv.excel):
            delimiter = options.delimiter
            quotechar = options.quote or None
            quoting = csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE
            doublequote = options.escape in (None, options.quote)
            escapechar = None if doublequote else options.escape or None

        return Dialect


class _JsonLines(_Text):
    form = "jsonl"

    def _encoding(self) -> str | None:
        named = super()._encoding()
        if named:
            return named
        with self._unbroken(), self._open() as file:
            return "utf-8-sig" if file.read(3) == codecs.BOM_UTF8 else None

    def schema(self) -> tuple[list[str], list[str]]:
        wanted = self.mapped.keys()
        detected = self._detected(sample_size=20_480)
        if not wanted <= set(detected.columns):
            # A field may be left out of the rows in which it has no value.
            detected = self._detected(sample_size=-1)
        # Only nesting counts as a type here: text that looks like a date is detected as one.
        kinds = [str(kind.id) for kind in detected.types]
        return detected.columns, [k if k in ("struct", "list", "map") else "varchar" for k in kinds]

    def relation(self, columns: dict[str, Kind]) -> duckdb.DuckDBPyRelation:
        # Decoding amounts at once is much cheaper than by way of text.
        typed = {
            kind: "VARCHAR" if self.options.decimal_comma else MEANINGS[kind].type
            for kind in DECIMALS
        }
        return self.connection.read_json(
            str(self.file),
            columns={name: typed.get(kind, "VARCHAR") for name, kind in columns.items()},
            format="newline_delimited",
            records="true",
            compression=self.compression,
        )

    def explain(self, error: duckdb.Error) -> BadPage | None:
        at = 0
        row = 0
        with self._unbroken(), self._open() as file:
            for line in file:
                if line.strip():
                    row += 1
                    reason = _json_fault(line)
                    if reason:
                        return BadPage(self.name, reason, row=row, byte=at)
                at += len(line)
        return None

    def _detected(self, sample_size: int) -> duckdb.DuckDBPyRelation:
        return self.connection.read_json(
            str(self.file),
            format="newline_delimited",
            records="true",
            compression=self.compression,
            sample_size=sample_size,
        )


_READERS: dict[Format, type[_Reader]] = {
    reader.form: reader for reader in (_Parquet, _Csv, _JsonLines)
}


def _json_fault(line: bytes) -> str | None:
    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        return "the text is not UTF-8"
    except ValueError:
        return "the line is not JSON"
    return None if isinstance(value, dict) else "the line is not a JSON object"


def _modified_at(filesystem: Any, path: str) -> datetime:
    modified: datetime = filesystem.modified(path)
    return modified.astimezone(UTC).replace(tzinfo=None)


def _version(filesystem: Any, path: str) -> str:
    # Size, change times and inode of a local file; the entity tag of an object.
    filesystem.invalidate_cache()
    version: str = filesystem.ukey(path)
    return version


def package_file(path: str) -> Path:
    """Where `package:<name>/<path>` lies. Raises `BadInput` if the package is not installed."""
    package, _, inside = path.removeprefix(PACKAGE).partition("/")
    try:
        return Path(str(importlib.resources.files(package).joinpath(inside)))
    except ModuleNotFoundError:
        raise BadInput(f"{path}: the package {package} is not installed") from None


def _resolved(path: str, place: Place) -> str:
    path = path.replace("${REGULARS_HOME}", str(place.home))
    if "${" in path:
        raise BadInput(f"{place.file}, path: only ${{REGULARS_HOME}} may stand in {path}")
    if path.startswith(PACKAGE):
        return str(package_file(path))
    if "://" in path:
        return path
    return str(place.file.parent / Path(path).expanduser())
