"""Send who has come into an audience into a step of a Mailchimp customer journey, at most once.

    commerce/mailchimp/<list>/journeys/<audience>-<journey>-<step>/since.json    the beginning
    commerce/mailchimp/<list>/journeys/<audience>-<journey>-<step>/claims/*.json who was let go

The connection's `journeys` says which: `lapsed_vips=1234/5678, vips=1234/9012`. A journey writes to
people, so nobody is sent twice for one coming in: a claim is kept before the calls are made, and
what a crash or a lost answer leaves open stays claimed. Whoever was in before a journey was first
heard of is left alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from mailchimp_marketing.api.customer_journeys_api import CustomerJourneysApi

from include import publishing
from include.activation.calls import open_turns
from include.activation.ledger import Ledger
from include.activation.statuses import statuses_path
from include.activation.turns import NotCalled
from include.activation.workbench import Workbench, open_workbench
from include.connections import Credentials, read_connection
from include.destinations.base import BatchRefused
from include.destinations.mailchimp import Mailchimp, Missing, call, open_client
from include.errors import BadInput, Retry, Stop
from include.lease import Lease, hold_lease
from include.settings import Settings
from include.store import Store

# So many are claimed before they are sent, and lost at most if the process is killed.
CLAIMED_AT_ONCE = 10
JOURNEY = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=\s*(\d+)\s*/\s*(\d+)\s*")
CLAIMS = pa.schema([("identity", pa.string()), ("entered_at", pa.string())])

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """The step of a journey that an audience's people go into."""

    audience: str
    journey_id: str
    step_id: str


@dataclass(frozen=True)
class Triggered:
    """What a run did for one audience: people sent into the journey, and who was refused."""

    audience: str
    journey: str
    sent: int
    refused: int


def trigger_journeys(
    settings: Settings, credentials: Callable[[str], Credentials] = read_connection
) -> list[Triggered]:
    """Send newcomers of all audiences that have a journey.

    Raises `BadInput` if the connection names none, `Stop` if a journey is not there, before the
    first snapshot or the first sync, `Retry` if Mailchimp is busy or another run is under way; who
    was not sent yet is sent by the next run.
    """
    connection = Mailchimp.connection()
    found = credentials(connection)
    steps = read_steps(found.require_option("journeys", connection), connection)
    destination = Mailchimp(found)
    store = Store(settings.store)
    snapshot = publishing.newest(store)
    statuses = statuses_path(destination)
    if not store.exists(statuses):
        raise Stop("Mailchimp was never asked for its contacts: sync an audience there first")
    folder = f"commerce/mailchimp/{destination.list_id}/journeys"
    done = []
    with hold_lease(store, f"{folder}/lease", settings.lock_wait_seconds) as lease:
        turns = open_turns(settings, Mailchimp, found, lease.check)
        api = CustomerJourneysApi(open_client(found, connection, turns.take))
        for step in steps:
            with open_workbench(settings, store) as bench:
                bench.connection.read_parquet(snapshot.path("contacts")).create_view("contacts")
                bench.leave_out_erased()
                bench.show_statuses(statuses)
                bench.show_state(Ledger(store, Mailchimp.name, step.audience).state)
                done.append(_Run(bench, api, lease, folder, step).trigger())
    return done


def read_steps(text: str, connection: str) -> list[Step]:
    """The journeys of a connection. Raises `BadInput` that shows the form."""
    steps = []
    for part in text.split(","):
        named = JOURNEY.fullmatch(part)
        if named is None:
            raise BadInput(
                f"connection {connection}: journeys must be like lapsed_vips=1234/5678 (audience, "
                "journey, step), with commas between"
            )
        steps.append(Step(*named.groups()))
    return steps


class _Run:
    """One journey's turn."""

    def __init__(
        self, bench: Workbench, api: CustomerJourneysApi, lease: Lease, folder: str, step: Step
    ) -> None:
        self._bench = bench
        self._api = api
        self._lease = lease
        self._step = step
        self._folder = f"{folder}/{step.audience}-{step.journey_id}-{step.step_id}"

    def trigger(self) -> Triggered:
        """Send who is due, a few at a time."""
        due = self._due()
        sent = refused = 0
        for first in range(0, len(due), CLAIMED_AT_ONCE):
            chunk = due[first : first + CLAIMED_AT_ONCE]
            claim = self._claim(chunk)
            for place, person in enumerate(chunk):
                if self._bench.watch.has_news() and self._is_erased(person):
                    continue
                try:
                    taken = self._send(person["email"])
                except (NotCalled, Stop):
                    self._keep(claim, chunk[:place])
                    raise
                except Retry:
                    # Of this one we do not know; those after it were not sent.
                    self._keep(claim, chunk[: place + 1])
                    raise
                sent += taken
                refused += not taken
        journey = f"{self._step.journey_id}/{self._step.step_id}"
        log.info("%s: %d people sent into the journey %s", self._step.audience, sent, journey)
        return Triggered(self._step.audience, journey, sent, refused)

    def _due(self) -> list[dict[str, str]]:
        rows = []
        for name in self._bench.store.list(f"{self._folder}/claims"):
            rows += json.loads(self._bench.store.read(f"{self._folder}/claims/{name}"))
        claimed = pa.Table.from_pylist(rows, schema=CLAIMS)
        self._bench.connection.from_arrow(claimed).create_view("claimed")
        found: list[dict[str, str]] = self._bench.run("due_journeys", since=self._since).to_pylist()
        return found

    @property
    def _since(self) -> datetime:
        """From when on newcomers count: the first run."""
        path = f"{self._folder}/since.json"
        store = self._bench.store
        if not store.exists(path):
            instant = datetime.now(UTC).replace(tzinfo=None).isoformat()
            store.write(path, json.dumps({"since": instant}).encode())
        return datetime.fromisoformat(json.loads(store.read(path))["since"])

    def _claim(self, people: Sequence[dict[str, str]]) -> str:
        parts = [f"{person['identity']} {person['entered_at']}" for person in people]
        name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        path = f"{self._folder}/claims/{name}.json"
        self._keep(path, people)
        return path

    def _keep(self, path: str, people: Sequence[dict[str, str]]) -> None:
        claims = [{name: person[name] for name in CLAIMS.names} for person in people]
        self._lease.check()
        self._bench.store.write(path, json.dumps(claims).encode())

    def _is_erased(self, person: dict[str, str]) -> bool:
        return self._bench.watch.is_erased("", person["identity"])

    def _send(self, email: str) -> bool:
        """Send one person; False if Mailchimp does not take them."""
        step = self._step
        body: dict[str, Any] = {"email_address": email}
        try:
            call(self._api.trigger, step.journey_id, step.step_id, body)
        except Missing:
            raise Stop(
                f"Mailchimp has no step {step.step_id} in a journey {step.journey_id} that may be "
                "started by a call"
            ) from None
        except BatchRefused:
            return False
        return True
