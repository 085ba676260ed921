"""File drop: every batch is one file in a folder or an object store, for tools that take files.

    <folder>/<audience>/fields.json                             the declared fields and their kinds
    <folder>/<audience>/<plan>-<batch>-<operation>.csv|parquet  who is in, changed or out

Take the files in the order of their names and delete what you have taken. They appear whole or not
at all, readable by their owner only; a batch that is replayed replaces its own file. A local folder
needs no credentials, an object store signs in as the machine does.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.connections import Credentials
from include.destinations.base import (
    Answer,
    Batch,
    Destination,
    FieldKind,
    Member,
    Operation,
    RemoteAudience,
)
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop
from include.instants import IDENTIFIER
from include.store import Store

FORMATS = ("csv", "parquet")
FIELDS = "fields.json"
PROBE = ".regulars-probe"
MOST_CHARACTERS = 1000
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# What a spreadsheet takes for the beginning of a formula, in either width (CWE-1236).
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = re.compile(r"\s*[=+\-@\t\r\n|%\uff1d\uff0b\uff0d\uff20]")
# A telephone number in E.164 is a number to a spreadsheet, whatever it does with it.
TELEPHONE = re.compile(r"\+[0-9]{1,15}")
IDENTIFIERS = ("identity", "customer_id")
CONTACT = ("email", "phone", "first_name", "last_name", "country", "language")


class FileDrop(Destination):
    """Leave the changes of each audience as files."""

    name = "file_drop"
    batch_size = 50_000
    contacts_sql = r"""
        select
            customer_id,
            case
                when strlen(trim(email)) <= 254 and regexp_full_match(
                    trim(email),
                    '[^@\s,;:<>()\[\]"\\]+@([^@\s,;:<>()\[\]"\\.]+\.)+[^@\s,;:<>()\[\]"\\.]+'
                ) then sha256(lower(trim(email)))
            end as identity,
            {
                'email': trim(email),
                'phone': phone_key,
                'first_name': first_name,
                'last_name': last_name,
                'country': country,
                'language': language
            } as contact
        from contacts
    """

    def __init__(self, credentials: Credentials) -> None:
        folder = credentials.require_option("folder", self.connection())
        self._format = credentials.extra.get("format", "csv")
        if self._format not in FORMATS:
            raise BadInput(f"connection {self.connection()}: format must be csv or parquet")
        self._store = Store(folder)

    @property
    def account(self) -> str:
        """The folder."""
        return self._store.root

    def test_connection(self) -> tuple[bool, str]:
        """Write a file, read it and take it away again."""
        try:
            self._write(PROBE, b"Regulars was here.")
            self._read(PROBE)
            self._store.remove(PROBE)
        except RegularsError as error:
            return False, str(error)
        return True, f"Files can be left in {self._store.root}."

    def ensure_audience(
        self, name: str, fields: Mapping[str, FieldKind], known_id: str | None
    ) -> RemoteAudience:
        """A folder for the audience that says what its fields hold.

        Raises `BadInput` if a field has the name of a column that every file has.
        """
        taken = [field for field in fields if field in (*IDENTIFIERS, *CONTACT)]
        if taken:
            raise BadInput(f"field {taken[0]}: every file has a column of that name; rename it")
        audience = RemoteAudience(known_id or name, name)
        content = json.dumps(dict(fields), indent=2).encode()
        self._write(f"{audience.audience_id}/{FIELDS}", content)
        return audience

    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """A file of the people who are in."""
        return self._leave("add", audience, batch)

    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """A file of the people whose fields have changed."""
        return self._leave("update", audience, batch)

    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """A file of the people who are out, by their identity alone."""
        return self._leave("remove", audience, batch)

    def _leave(self, operation: Operation, audience: RemoteAudience, batch: Batch) -> Answer:
        fields = self._fields(audience)
        if operation == "remove":
            schema = _schema(IDENTIFIERS, {})
            rows = [_identifiers(member) for member in batch.members]
        else:
            schema = _schema((*IDENTIFIERS, *CONTACT), fields)
            rows = [_row(member, fields) for member in batch.members]
        write = _csv if self._format == "csv" else _parquet
        plan = batch.plan_id or f"{datetime.now(UTC):{IDENTIFIER}}"
        name = f"{plan}-{batch.number:06}-{operation}.{self._format}"
        path = f"{audience.audience_id}/{name}"
        self._write(path, write(schema, rows))
        return Answer(vendor={"file": path})

    def _fields(self, audience: RemoteAudience) -> dict[str, FieldKind]:
        """What the audience's fields hold. Raises `Stop` if its folder is gone."""
        path = f"{audience.audience_id}/{FIELDS}"
        try:
            fields: dict[str, FieldKind] = json.loads(self._read(path))
        except FileNotFoundError:
            raise Stop(
                f"the folder no longer has the audience {audience.name}: restore its {FIELDS}, or "
                "forget what we believe it holds"
            ) from None
        return fields

    def _read(self, path: str) -> bytes:
        try:
            return self._store.read(path)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise _failure(error) from None

    def _write(self, path: str, content: bytes) -> None:
        try:
            self._store.write(path, content)
        except Exception as error:
            raise _failure(error) from None


def csv_text(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula: a text like one gets a `'`."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    if FORMULA.match(value) and not TELEPHONE.fullmatch(value):
        return f"'{value}"
    return value


def _identifiers(member: Member) -> dict[str, Any]:
    return {"identity": member.identity, "customer_id": member.customer_id}


def _row(member: Member, fields: Mapping[str, FieldKind]) -> dict[str, Any]:
    contact = {name: _clean(value) for name, value in (member.contact or {}).items()}
    payload = {
        name: _number(member.payload.get(name))
        if kind == "number"
        else _text(member.payload.get(name))
        for name, kind in fields.items()
    }
    return _identifiers(member) | contact | payload


def _number(value: object) -> float | None:
    """A value of a column of numbers; what is none is left out."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return _clean(value)
    return _clean(json.dumps(value, ensure_ascii=False))


def _clean(value: str | None) -> str | None:
    return CONTROL_CHARACTERS.sub("", value)[:MOST_CHARACTERS] if value else value


def _schema(texts: Sequence[str], fields: Mapping[str, FieldKind]) -> pa.Schema:
    columns = [(name, pa.string()) for name in texts]
    kinds = {"number": pa.float64()}
    return pa.schema(
        columns + [(name, kinds.get(kind, pa.string())) for name, kind in fields.items()]
    )


def _csv(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    # As RFC 4180 has it; the writer quotes only the line ends it is told of.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([csv_text(name) for name in schema.names])
    writer.writerows([csv_text(row.get(name)) for name in schema.names] for row in rows)
    return text.getvalue().encode()


def _parquet(schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def _failure(error: Exception) -> RegularsError:
    """The error for a failed read or write; the original one may name an address with a secret.

    The client of an object store has errors of its own, which are no `OSError`.
    """
    if isinstance(error, FileNotFoundError):
        return Stop("the folder is not there and cannot be made")
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        return Reauthorise("the folder refuses us: it cannot be written to")
    return Retry(f"the folder could not be written to ({type(error).__name__})")
