"""Erasure and export by hand: `regulars erase`, `regulars export-person`.

Addresses and numbers are read from a file or the standard input, never from the command line,
which other users of the machine, the shell's history and logs can see.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from include.connections import read_connection
from include.erasure.erase import Certificate, erase
from include.erasure.export import export_person
from include.erasure.person import Request, plain
from include.erasure.tombstones import Identifier
from include.errors import BadInput
from include.settings import Settings

CustomerIds = Annotated[
    list[str] | None, typer.Option("--customer-id", help="A customer's id, as in `shop:123`.")
]
FromFile = Annotated[
    str | None,
    typer.Option("--from", help="A file with an address or number in each line; `-` is stdin."),
]
RequestIds = Annotated[
    list[str] | None, typer.Option("--request", help="One open request; default all of them.")
]
Target = Annotated[Path, typer.Option("--to", help="The file to write; it must not exist.")]


def erase_people(
    settings: Settings,
    customer_ids: list[str] | None,
    file: str | None,
    request_ids: list[str] | None,
) -> list[dict[str, Any]]:
    """Fulfil what was asked for; without anything, all open requests. Rows to show."""
    if request_ids and (customer_ids or file):
        raise BadInput("--request is for requests that came by a source: leave the others out")
    named = _named(customer_ids, file)
    requests = [_request(one) for one in named] if customer_ids or file else None
    done = erase(settings, read_connection, requests, request_ids or (), _tell)
    return [row(certificate) for certificate in done]


def export(
    settings: Settings, customer_ids: list[str] | None, file: str | None, target: Path
) -> list[dict[str, Any]]:
    """Write what is held on one person; rows to show."""
    named = _named(customer_ids, file)
    if not named:
        raise BadInput("name the person by --customer-id, or by --from FILE")
    counts = export_person(settings, Request("export", tuple(named)), target)
    return [{"table": table, "rows": rows} for table, rows in counts.items()]


def row(certificate: Certificate) -> dict[str, Any]:
    """A certificate in one line."""
    return {
        "erasure_id": certificate.erasure_id,
        "requests": len(certificate.requests),
        "finished_at": certificate.finished_at,
        "places": {name: n for name, n in certificate.places.items() if n},
        "destinations": [asdict(one) for one in certificate.destinations],
    }


def _named(customer_ids: list[str] | None, file: str | None) -> list[Identifier]:
    named: list[Identifier] = []
    for customer_id in customer_ids or ():
        if "@" in customer_id:
            raise BadInput("--customer-id is for ids; give an address by --from FILE")
        named.append(("platform_id", customer_id))
    if file:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            # The original error holds what was read.
            raise BadInput(f"--from {file}: it is not UTF-8") from None
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            found = plain(line)
            if found is None:
                raise BadInput(f"line {number} is neither an address nor an international number")
            named.append(found)
    return named


def _request(identifier: Identifier) -> Request:
    """A request by hand has no id: what it names, hashed, tells two of them apart."""
    if identifier[0] == "platform_id":
        return Request(f"by hand: {identifier[1]}", (identifier,))
    return Request("by hand", (identifier,))


def _tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")
