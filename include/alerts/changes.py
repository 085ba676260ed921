"""Which subjects are in trouble, kept in the store, so that people hear of changes only.

alerts/<subject>.json is there while a subject (a DAG's part: an audience at a destination, a
source) is in trouble: in which way, at which of its steps, since when, and whether it was told.
Tasks of one subject may end at the same instant: who tells or writes holds the subject's lease.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from include.alerts.channels import Channel, Message
from include.errors import RegularsError
from include.lease import LEASE_SECONDS, hold_lease
from include.store import Store

FOLDER = "alerts"
KINDS = {"failing": "fails", "held_up": "waits for a person"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with one step of a subject, in words without personal data and secrets.

    subject: its names from the DAG downwards. waiting: members who are not sent meanwhile, None
    where that is no question. link: where a person sees more.
    """

    subject: tuple[str, ...]
    step: str
    kind: Literal["failing", "held_up"]
    what: str
    what_to_do: str
    waiting: int | None = None
    link: str | None = None

    def message(self) -> Message:
        """What a person reads."""
        waiting = None if self.waiting is None else f"Members who wait: {self.waiting}"
        more = self.link and f"More: {self.link}"
        parts = (f"{self.step}: {self.what}", waiting, f"What to do: {self.what_to_do}", more)
        text = "\n".join(part for part in parts if part)
        return Message(f"{_name(self.subject)} {KINDS[self.kind]}", text, self.kind, self.subject)


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a subject in trouble."""

    kind: str
    steps: tuple[str, ...]
    since: str
    is_told: bool


class Alerts:
    """Tells changes to the channel that `find_channel` gives; without one they are only logged.

    An alert that cannot be delivered is tried again at the next occasion, and never makes the work
    it is about fail.
    """

    def __init__(self, store: Store, find_channel: Callable[[], Channel | None]) -> None:
        self._store = store
        self._find_channel = find_channel

    def trouble(self, trouble: Trouble) -> None:
        """A step has failed, or waits for a person: told if that is new of its subject."""
        self._alone(trouble.subject, lambda: self._note(trouble))

    def recovery(self, subject: Sequence[str], step: str | None = None) -> None:
        """A step has succeeded, or the whole subject is well: told once no step is in trouble."""
        if self._known(subject):
            self._alone(subject, lambda: self._settle(subject, step))

    def _alone(self, subject: Sequence[str], work: Callable[[], None]) -> None:
        """Do it while no other task tells or writes of the subject."""
        folder = _path(subject).removesuffix(".json") + ".lease"
        try:
            with hold_lease(self._store, folder, LEASE_SECONDS):
                work()
        except RegularsError as error:
            log.error("nothing was noted of %s: %s", _name(subject), error)

    def _note(self, trouble: Trouble) -> None:
        known = self._known(trouble.subject)
        is_news = known is None or not known.is_told or known.kind != trouble.kind
        is_told = self._tell(trouble.message()) if is_news else True
        steps = {*(known.steps if known else ()), trouble.step}
        since = known.since if known else datetime.now(UTC).isoformat()
        now_known = Known(trouble.kind, tuple(sorted(steps)), since, is_told)
        if now_known != known:
            self._keep(trouble.subject, now_known)

    def _settle(self, subject: Sequence[str], step: str | None) -> None:
        known = self._known(subject)
        if known is None:
            return
        steps = tuple(one for one in known.steps if step is not None and one != step)
        if steps:
            if steps != known.steps:
                self._keep(subject, replace(known, steps=steps))
            return
        text = f"It was in trouble since {known.since[:16]}Z."
        message = Message(f"{_name(subject)} works again", text, "recovered", tuple(subject))
        if not known.is_told or self._tell(message):
            self._store.remove(_path(subject))

    def _keep(self, subject: Sequence[str], known: Known) -> None:
        self._store.write(_path(subject), json.dumps(asdict(known), indent=1).encode())

    def _tell(self, message: Message) -> bool:
        log.warning("alert: %s", message.title)
        try:
            if channel := self._find_channel():
                channel.tell(message)
        except RegularsError as error:
            log.error("the alert was not delivered: %s", error)
            return False
        return True

    def _known(self, subject: Sequence[str]) -> Known | None:
        path = _path(subject)
        if not self._store.exists(path):
            return None
        content = json.loads(self._store.read(path))
        return Known(**content | {"steps": tuple(content["steps"])})


def _path(subject: Sequence[str]) -> str:
    # A dot stays as it is in `quote`, so `..` could lead out of the folder.
    names = [quote(name, safe="").replace(".", "%2E") for name in subject]
    return f"{FOLDER}/{'/'.join(names)}.json"


def _name(subject: Sequence[str]) -> str:
    return " / ".join(subject)
