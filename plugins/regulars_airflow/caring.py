"""The tasks of `erase_customers` and `reconcile_destinations`, which hand on counts and ids."""

from __future__ import annotations

import logging
from typing import Any

from include.activation.audiences import load_audiences
from include.activation.reconcile import reconcile
from include.connections import Credentials, connection_id
from include.destinations import DESTINATIONS
from include.erasure.commands import row
from include.erasure.erase import erase
from include.errors import RegularsError, Retry, Stop
from include.settings import load_settings
from regulars_airflow.hooks import credentials

log = logging.getLogger(__name__)


def erase_customers(requests: list[str] | None) -> list[dict[str, Any]]:
    """Fulfil open requests, or those of these ids; the certificates in short."""
    done = erase(load_settings(), _by_connection, only=requests or (), progress=log.info)
    return [row(certificate) for certificate in done]


def reconcile_destination(destination: str) -> list[dict[str, Any]]:
    """Compare every audience of one destination; one that fails stops no other.

    A state that is known is repaired where the destination lists members; one that was lost waits
    for a person. Raises `Stop` (or `Retry`, where that is all it takes) that names what failed or
    needs a person.
    """
    settings = load_settings()
    rows: list[dict[str, Any]] = []
    failures: list[RegularsError] = []
    for audience in load_audiences().values():
        if destination not in {target.to for target in audience.destinations}:
            continue
        parties = (settings, audience, destination, credentials(destination))
        try:
            found = reconcile(*parties)
            is_readable = found.state == "known" and DESTINATIONS[destination].lists_members
            if is_readable and not found.agrees:
                found = reconcile(*parties, "repair")
            if found.state in ("lost", "older"):
                failures.append(Stop(f"{audience.name}: {found.finding}"))
        except RegularsError as error:
            failures.append(error)
            continue
        log.info("%s to %s: %s", audience.name, destination, found.finding)
        rows.append(found.row())
    if failures:
        kind = Retry if all(isinstance(one, Retry) for one in failures) else Stop
        raise kind("\n".join(str(one) for one in failures))
    return rows


def _by_connection(connection: str) -> Credentials:
    """What signs in at the destination that a connection belongs to."""
    [name] = [name for name in DESTINATIONS if connection_id(name) == connection]
    found: Credentials = credentials(name)
    return found
