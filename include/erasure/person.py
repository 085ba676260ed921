"""Who a request is about: from what it names to everything that the person is known by.

A request names a customer id, an address or a number. Whatever the identity graph says is the same
customer belongs to it, and so does what was seen together with what is named. A telephone number
that other people go by too is not the person's own: their rows lose it, but it gets no tombstone
unless the request itself names it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import duckdb

from include.destinations import Destination
from include.erasure.tombstones import Identifier, Kind, show_identifiers
from include.publishing import Snapshot
from include.raw_tables import declared, e164
from include.warehouse import Warehouse

_NAMES: tuple[tuple[Kind, str], ...] = (
    ("platform_id", "customer_id"),
    ("email", "email_key"),
    ("phone", "phone_key"),
)


@dataclass(frozen=True)
class Request:
    """One request: its id where it came from, and what it names. Never shown."""

    request_id: str
    named: tuple[Identifier, ...] = field(repr=False)


@dataclass(frozen=True)
class People:
    """Everybody whom some requests are about.

    contacts: the addresses and numbers as they were written, for destinations to normalise.
    """

    identifiers: frozenset[Identifier] = field(repr=False)
    contacts: tuple[Mapping[str, str | None], ...] = field(default=(), repr=False)

    def values(self, kind: str) -> list[str]:
        """The values of one kind of identifier, sorted."""
        return sorted(value for known, value in self.identifiers if known == kind)


def plain(text: str) -> Identifier | None:
    """An address or an international number as a person writes it; None if it is neither."""
    text = text.strip()
    if "@" in text:
        # As the raw tables key it; some keyboards and files write an accent as a letter of its own.
        return "email", unicodedata.normalize("NFC", text).lower()
    number = e164(text, None, None)
    return ("phone", number) if number else None


def open_requests(warehouse: Warehouse) -> list[Request]:
    """The requests that came by a source and are not fulfilled."""
    return [
        Request(
            row["request_id"],
            tuple((kind, row[column]) for kind, column in _NAMES if row[column]),
        )
        for row in warehouse.run("open_erasure_requests").to_pylist()
    ]


def find_people(
    warehouse: Warehouse, snapshot: Snapshot | None, requests: Iterable[Request]
) -> People:
    """Everything that the requests' people are known by, in the raw tables and in a snapshot."""
    show_identifiers(warehouse, [one for request in requests for one in request.named])
    warehouse.run("empty_mentions")
    for table in _tables_of_people():
        warehouse.run("add_mentions", {"table": f"raw.{table}"})
    if snapshot:
        contacts = warehouse.connection.read_parquet(snapshot.path("contacts"))
        contacts.select(
            *(
                duckdb.SQLExpression(name if name in contacts.columns else "null").alias(name)
                for name in ("customer_id", "email", "phone", "phone_key")
            )
        ).create_view("published_contacts", replace=True)
        warehouse.run("add_published_mentions")
        warehouse.run("drop_published_contacts")
    graph = "marts.customer_identities" if _has_graph(warehouse) else "no_identities"
    warehouse.run("find_people", {"graph": graph})
    found = warehouse.run("people_identifiers").to_pylist()
    written = warehouse.run("people_contacts").to_pylist()
    return People(
        frozenset((row["kind"], row["value"]) for row in found), tuple(_variants(written))
    )


def addressed(destination: type[Destination], people: People) -> set[str]:
    """The people's identities at a destination, by the destination's own rule."""
    if not people.contacts:
        return set()
    with duckdb.connect() as connection:
        warehouse = Warehouse(connection)
        warehouse.run("given_contacts", contacts=list(people.contacts))
        rows = connection.sql(destination.contacts_sql).select("identity").fetchall()
    return {identity for (identity,) in rows if identity}


def _tables_of_people() -> Iterator[str]:
    for table, columns in declared().items():
        if {"customer_id", "email", "email_key", "phone_key"} <= {one.name for one in columns}:
            yield table


def _has_graph(warehouse: Warehouse) -> bool:
    return warehouse.has_table("marts", "customer_identities")


def _variants(written: list[dict[str, str | None]]) -> Iterator[Mapping[str, str | None]]:
    """Each contact as it is, and by its address or its number alone."""
    for row in written:
        yield row
        yield row | {"phone": None, "phone_key": None}
        yield row | {"email": None}
