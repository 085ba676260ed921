"""Erase people everywhere, and leave a certificate that says so without naming them.

The order is what makes it safe to be killed anywhere and called again: tombstones first, so that
nobody lands, is planned or is sent any more; then destinations, files of the store, and at last the
warehouse, from which everything about a person can be found out until then.

    <store>/erasure/tombstones.json               stay for ever
    <store>/erasure/begun/<erasure_id>.json       the last step is under way
    <store>/erasure/certificates/<erasure_id>.json  what was erased where, and what vendors answered
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import duckdb

from include import publishing
from include.activation.audiences import load_audiences
from include.activation.calls import Patience
from include.activation.ledger import ledgers
from include.activation.reconcile import approach
from include.commerce import people as commerce
from include.commerce.push import Waiting
from include.connections import Credentials, connection_id
from include.destinations import Destination, known_destination
from include.destinations.base import Batch, Member, NotOffered, RemoteAudience
from include.destinations.mailchimp import Mailchimp
from include.erasure.person import People, Request, addressed, find_people, open_requests
from include.erasure.places import Places
from include.erasure.tombstones import (
    Identifier,
    Tombstones,
    add_tombstones,
    digest,
    settle,
)
from include.erasure.warehouse import compact, is_purged, purge_warehouse, replacing
from include.errors import BadInput, RegularsError, Retry
from include.settings import Settings
from include.store import Store, drop_copies
from include.warehouse import REBUILDING, Warehouse, remove_database, visit

FOLDER = "erasure"
ID_LENGTH = 24
KEPT = (
    "Orders and their lines stay as figures, without customer id, address, number and name: each"
    " for itself, with no link to the person or to another order. A shop's books must be kept by"
    " law (GDPR Art. 17(3)(b)), and turnover is nobody's personal data. The order's number stays,"
    " because the shop's books know it by that."
)

# How long Mailchimp may take for batches that are under way, before the erasure is called again.
BATCHES = Waiting(longest=120, between=5)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AtDestination:
    """What one destination answered; `account` is ours there.

    `mailchimp_store` is the store of a Mailchimp list, with the customers that it may know.
    """

    destination: str
    account: str
    identities: int
    answer: dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was erased. No personal data: ids of requests, tombstones, counts.

    requests: ids, or a hash of one that is an address itself. places: rows, pages or files that
    were about the people, by place; the counts are of all requests together.
    """

    erasure_id: str
    requests: tuple[str, ...]
    tombstones: tuple[str, ...]
    began_at: str
    finished_at: str | None
    places: dict[str, int]
    destinations: tuple[AtDestination, ...]
    kept: str = KEPT
    release: str = field(default_factory=lambda: version("regulars"))


def erase(
    settings: Settings,
    credentials: Callable[[str], Credentials],
    requests: Sequence[Request] | None = None,
    only: Sequence[str] = (),
    progress: Progress | None = None,
    patience: Patience | None = None,
    waiting: Waiting | None = None,
) -> list[Certificate]:
    """Fulfil requests (default: all open ones that came by a source, or those named in `only`).

    Finishes first what an earlier call was killed in. Calling it again for the same person does no
    harm. Raises `BadInput` if one of `only` is neither open nor fulfilled.
    Raises `Retry` while a sync that names one of them, or a batch of purchases, is not finished
    (nobody is sent, but a batch may be on its way), or another process publishes, loads,
    pushes or erases; then call it again.
    Raises what a destination raised, once all other places are done; then call it again, too.
    """
    progress = progress or _silent
    with replacing(settings):
        try:
            done = _finish_begun(settings)
            if requests is None:
                requests = _open(settings, only)
            if requests:
                erasure = _Erasure(settings, requests, credentials, progress, patience, waiting)
                done.append(erasure.run())
        finally:
            # They were made before the people were gone.
            drop_copies()
    return done


def certificates(settings: Settings) -> list[Certificate]:
    """All certificates, oldest first."""
    store = Store(settings.store)
    folder = f"{FOLDER}/certificates"
    found = [_read(store, f"{folder}/{name}") for name in store.list(folder)]
    return sorted(found, key=lambda certificate: certificate.began_at)


class _Erasure:
    """One pass over all places for some requests."""

    def __init__(
        self,
        settings: Settings,
        requests: Sequence[Request],
        credentials: Callable[[str], Credentials],
        progress: Progress,
        patience: Patience | None,
        waiting: Waiting | None,
    ) -> None:
        self.settings = settings
        self.store = Store(settings.store)
        self.requests = requests
        self.credentials = credentials
        self.report = progress
        self.patience = patience
        self.waiting = waiting or BATCHES
        self.began_at = _now()

    def run(self) -> Certificate:
        named = [identifier for request in self.requests for identifier in request.named]
        # Before anything else is looked up, so that nobody comes back meanwhile.
        add_tombstones(self.settings, named)
        people = self._people()
        identities = self._identities(people)
        hashes: set[Identifier] = {
            ("identity", one) for found in identities.values() for one in found
        }
        people = People(people.identifiers | frozenset(hashes), people.contacts)
        tombstones = add_tombstones(self.settings, people.identifiers)

        places = Places(self.settings, people, self.report)
        counts: dict[str, int] = {}
        # Before the contacts go: a purchase that is on its way could make one again.
        counts["purchases told and journeys"], in_stores, failures = self._in_commerce(people)
        at_destinations, failed = self._at_destinations(identities)
        answered, failures = in_stores + at_destinations, failures + failed
        rows, waiting = places.activation()
        counts["plans, receipts, state and statuses"] = rows
        # Until nobody is in the warehouse any more, it must not be published again.
        with publishing.paused(self.settings, self.store) as workspace:
            for what, step in (
                ("published snapshots", partial(places.snapshots, workspace)),
                ("landing pages", places.landing),
                ("waiting calls", places.inbox),
                ("quarantined pages", places.quarantine),
            ):
                self.report(f"{what} ...")
                counts[what] = step()
            places.workspaces()
            # What a killed rebuild left: it is made of what was landed.
            remove_database(self.settings.warehouse_path.with_suffix(REBUILDING))
            if failures:
                raise failures[0]
            if waiting:
                raise Retry(
                    f"the sync of {', '.join(waiting)} is not finished: nobody who is erased is"
                    " sent by it any more, but a batch may be on its way; finish it, then erase"
                    " again"
                )
            certificate = self._certificate(tombstones, people, counts, answered)
            begun = f"{FOLDER}/begun/{certificate.erasure_id}.json"
            _write(self.store, begun, certificate)
            self.report("warehouse ...")
            found = purge_warehouse(self.settings, people.identifiers, certificate.erasure_id)
        certificate.places.update({f"warehouse {table}": n for table, n in found.items()})
        _write(self.store, begun, certificate)
        return _finish(self.settings, certificate)

    def _people(self) -> People:
        """The people, of whom there are tombstones by now.

        Whoever loads asks for these while he has the warehouse open: he has landed before we look
        through the landing pages, or he knows all of them.
        """
        snapshot = publishing.current(self.store)
        with ExitStack() as opened:
            if self.settings.warehouse_path.exists():
                warehouse = opened.enter_context(visit(self.settings))
            else:
                warehouse = Warehouse(opened.enter_context(duckdb.connect()))
            warehouse.run("raw_tables")
            people = find_people(warehouse, snapshot, self.requests)
            add_tombstones(self.settings, people.identifiers)
            return people

    def _identities(self, people: People) -> dict[str, set[str]]:
        """By which keys each destination may know them: as we would send them, and as we did."""
        places = Places(self.settings, people, self.report)
        names = {target.to for one in load_audiences().values() for target in one.destinations}
        names |= {ledger.destination for ledger in ledgers(self.store)}
        return {
            name: addressed(known_destination(name), people) | places.identities_held(name)
            for name in names
        }

    def _in_commerce(
        self, people: People
    ) -> tuple[int, tuple[AtDestination, ...], list[RegularsError]]:
        """What we held of purchases and journeys in rows, and what Mailchimp's stores answered."""
        count = 0
        answered = []
        failures: list[RegularsError] = []
        for list_id in commerce.lists(self.store):
            self.report(f"purchases and journeys of {list_id} ...")
            try:
                count += commerce.forget_travellers(self.settings, list_id, people)
            except RegularsError as error:
                failures.append(error)
            try:
                credentials = self.credentials(Mailchimp.connection())
                forgotten = commerce.forget_buyers(
                    self.settings, list_id, credentials, people, self.waiting
                )
                count += forgotten.rows
                told = (forgotten.store_id, forgotten.customers, forgotten.answer)
                answered.append(AtDestination("mailchimp_store", *told))
            except RegularsError as error:
                failures.append(error)
        return count, tuple(answered), failures

    def _at_destinations(
        self, identities: Mapping[str, Collection[str]]
    ) -> tuple[tuple[AtDestination, ...], list[RegularsError]]:
        """What each destination answered; one that fails holds up nothing but the certificate."""
        answered = []
        failures: list[RegularsError] = []
        for name, found in sorted(identities.items()):
            try:
                if found:
                    answered.append(self._at(name, sorted(found)))
            except RegularsError as error:
                failures.append(error)
        return tuple(answered), failures

    def _at(self, name: str, identities: Sequence[str]) -> AtDestination:
        self.report(f"{name} ...")
        credentials = self.credentials(connection_id(name))
        destination, caller = approach(self.settings, name, credentials, self.patience)
        try:
            answer, _ = caller.call(lambda: destination.erase(identities))
            told = dict(answer.vendor)
        except NotOffered:
            told = {"removed_from_audiences": self._remove(destination, identities)}
        return AtDestination(name, destination.account, len(identities), told)

    def _remove(self, destination: Destination, identities: Sequence[str]) -> int:
        """Take people out of each audience of ours, where they cannot be erased in one call."""
        members = [Member("", identity) for identity in identities]
        size = destination.batch_size
        audiences = 0
        for ledger in ledgers(self.store):
            target = ledger.recall(ledger.target)
            if ledger.destination != destination.name or not target:
                continue
            opened, caller = approach(
                self.settings,
                destination.name,
                self.credentials(connection_id(destination.name)),
                self.patience,
            )
            remote = RemoteAudience(target["audience_id"], ledger.audience)
            for number, start in enumerate(range(0, len(members), size), start=1):
                batch = Batch(number, members[start : start + size])
                caller.call(partial(opened.remove, remote, batch))
            audiences += 1
        return audiences

    def _certificate(
        self,
        tombstones: Tombstones,
        people: People,
        counts: dict[str, int],
        answered: tuple[AtDestination, ...],
    ) -> Certificate:
        salt = tombstones.salt
        named = sorted(":".join(one) for request in self.requests for one in request.named)
        return Certificate(
            erasure_id=digest(salt, ("identity", "\n".join(named)))[:ID_LENGTH],
            requests=tuple(
                digest(salt, ("email", one.request_id)) if "@" in one.request_id else one.request_id
                for one in self.requests
            ),
            tombstones=tuple(sorted(digest(salt, one) for one in people.identifiers)),
            began_at=self.began_at,
            finished_at=None,
            places=counts,
            destinations=answered,
        )


def _open(settings: Settings, only: Sequence[str]) -> list[Request]:
    found: list[Request] = []
    if settings.warehouse_path.exists():
        with visit(settings) as warehouse:
            warehouse.run("raw_tables")
            found = open_requests(warehouse)
    unknown = {*only} - {request.request_id for request in found}
    if unknown:
        unknown -= {one for certificate in certificates(settings) for one in certificate.requests}
    if unknown:
        raise BadInput(
            f"there is no open request {', '.join(sorted(unknown))}: load it first (`regulars"
            " ingest`), unless another request for the same person has been fulfilled"
        )
    return [request for request in found if not only or request.request_id in only]


def _finish_begun(settings: Settings) -> list[Certificate]:
    """What was killed while it took people out of the warehouse: the note says what is left."""
    store = Store(settings.store)
    folder = f"{FOLDER}/begun"
    done = []
    for name in store.list(folder):
        certificate = _read(store, f"{folder}/{name}")
        if not is_purged(settings, certificate.erasure_id):
            # Everything can still be found out: the request is open, and is fulfilled anew.
            store.remove(f"{folder}/{name}")
            continue
        done.append(_finish(settings, certificate))
    return done


def _finish(settings: Settings, certificate: Certificate) -> Certificate:
    """Free the bytes, and put the certificate where it stays."""
    store = Store(settings.store)
    if settings.warehouse_path.exists():
        compact(settings)
    settle(settings)
    finished = replace(certificate, finished_at=_now())
    _write(store, f"{FOLDER}/certificates/{certificate.erasure_id}.json", finished)
    store.remove(f"{FOLDER}/begun/{certificate.erasure_id}.json")
    return finished


def _write(store: Store, path: str, certificate: Certificate) -> None:
    store.write(path, json.dumps(asdict(certificate), indent=1).encode())


def _read(store: Store, path: str) -> Certificate:
    content: dict[str, Any] = json.loads(store.read(path))
    content["destinations"] = tuple(AtDestination(**one) for one in content["destinations"])
    content["requests"] = tuple(content["requests"])
    content["tombstones"] = tuple(content["tombstones"])
    return Certificate(**content)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _silent(message: str) -> None:
    """Report progress to nobody."""
