"""The contract a destination honours. Everything else about it is its own business.

The engine (`include/activation`) owns the difference, batches, concurrency, retries, bisection,
receipts and state. A destination owns one vendor: who a person is there, and three verbs that
describe a state to reach.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, NoReturn

import msgspec

from include.connections import Credentials, connection_id
from include.errors import Retry, Stop

Operation = Literal["remove", "update", "add"]
RejectionClass = Literal["retry", "fix_data", "suppressed", "never"]
FieldKind = Literal["text", "number", "date"]


class Member(msgspec.Struct, frozen=True, gc=False):
    """One person of a batch: there are millions, and a dataclass takes ten times as long to make.

    `identity` is the destination's own hashed key. `contact` is what the destination's
    `contacts_sql` selected, None if the person's address is no longer the one behind the identity;
    `payload` the audience's declared fields; `status` the destination's word for the person when
    the statuses were last pulled, None if it did not know them.
    """

    customer_id: str
    identity: str
    contact: Mapping[str, str | None] | None = None
    payload: Mapping[str, object] = {}
    status: str | None = None

    def __repr__(self) -> str:
        """Without what tells who it is."""
        return f"Member({self.customer_id!r}, {self.identity!r})"


@dataclass(frozen=True, slots=True)
class Session:
    """Where a batch stands in an upload session; a replayed batch has the same place again.

    `sequence` counts from 1; `received_before` members were acknowledged earlier in the session.
    """

    session_id: int
    sequence: int
    is_last: bool
    total: int
    received_before: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Members that go in one piece, by one verb.

    `plan_id` and `number` name it for good: a replay has them again, and no other batch has both.
    Outside a plan there is no id; then nobody can tell a replay from a new batch. `prepared` is
    what `Destination.prepare` made of these very members, None if it was not asked.
    """

    number: int
    members: Sequence[Member]
    session: Session | None = None
    plan_id: str = ""
    prepared: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RemoteAudience:
    """What an audience is at the destination: the vendor's id for it, and its name there."""

    audience_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """One member that was not accepted. `reason` is our own wording: vendors quote addresses.

    Class `retry` is planned again next run; `fix_data` and `never` not before the member's data
    change; `suppressed` not before the person is reachable again.
    """

    customer_id: str
    code: str
    reason: str
    kind: RejectionClass


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination said to a batch: every member not named here was accepted."""

    rejections: tuple[Rejection, ...] = ()
    vendor: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch that a destination takes at once and works on later.

    `failed` counts the members that were not taken, by the vendor's code; it names nobody.
    """

    state: Literal["processing", "done", "failed"]
    failed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContactStatus:
    """What the destination says of one contact; nothing is sent for one who is not reachable."""

    identity: str
    status: str
    is_reachable: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class StatusPage:
    """One page of statuses, and how many pages there are."""

    contacts: Sequence[ContactStatus]
    pages: int


@dataclass(frozen=True, slots=True)
class MemberPage:
    """One page of who is in an audience, by identity, and how many pages there are."""

    identities: Sequence[str]
    pages: int


@dataclass(frozen=True, slots=True)
class Size:
    """The number of people in an audience lies between these two, both included."""

    at_least: int
    at_most: int


class Told(dict[str, Any]):
    """What a destination answered, an object; one that lacks what is looked up is no answer."""

    def __missing__(self, name: str) -> NoReturn:
        raise Retry(f"the destination's answer has no {name}")


class SessionOver(Retry):
    """The upload session takes no more batches: the batch goes again in a new one."""


class ConnectionDropped(Retry):
    """The destination cut the connection, as some do when a batch is large: a smaller one may go.

    Whether it was applied is unknown.
    """


class NotOffered(Stop):
    """The vendor has no such call."""


class BatchRefused(Stop):
    """The destination refuses a whole batch for something in it; the engine looks for the row."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Destination(ABC):
    """A place that members can be put into and taken out of.

    The verbs are idempotent: adding twice, or removing a stranger, is accepted and changes
    nothing. They may be called from several threads at once, up to `connections`. A batch that
    fails as a whole raises `Retry` (its outcome may be unknown), `Stop`, `Reauthorise` or
    `BatchRefused`; a member that fails alone is named in the answer.

    `contacts_sql` is one static select over the view `contacts` giving customer_id, identity (NULL
    if the person cannot be addressed here) and `contact`, a struct of text or NULL; it normalises
    and hashes. A destination that keeps nothing but who is in (`carries_fields` False) has nothing
    to update. `session_seconds` is how long an upload session may be used, None if there are none;
    sessions need one connection. `lists_members` and `tells_sizes` say whether `held_members` and
    `size` work.

    Every HTTP call is made within `take_turn()`. The engine puts it in place: it waits until one of
    the account's `connections` is free and the call keeps to `calls_per_second`. A vendor that asks
    for a pause within a good answer is obeyed by `hold_up(seconds)`; a `Retry` is raised within
    `take_turn()`, so that whoever is next waits for as long as it says.
    """

    name: ClassVar[str]
    lists_members: ClassVar[bool] = False
    tells_sizes: ClassVar[bool] = False
    batch_size: ClassVar[int]
    connections: ClassVar[int] = 1
    calls_per_second: ClassVar[float | None] = None
    carries_fields: ClassVar[bool] = True
    session_seconds: ClassVar[float | None] = None
    status_groups: ClassVar[tuple[str, ...]] = ()
    contacts_sql: ClassVar[str]
    registry: ClassVar[dict[str, type[Destination]]] = {}
    take_turn: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    hold_up: Callable[[float], None] = staticmethod(lambda seconds: None)

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        Destination.registry[cls.name] = cls

    @abstractmethod
    def __init__(self, credentials: Credentials) -> None:
        """Prepare a client; nothing is sent yet. Raises `BadInput` if the connection is short."""

    @property
    @abstractmethod
    def account(self) -> str:
        """What our state belongs to (a list, an ad account): another one holds other people."""

    @abstractmethod
    def test_connection(self) -> tuple[bool, str]:
        """Whether the credentials work and reach the account, in one sentence for a person."""

    @abstractmethod
    def ensure_audience(
        self, name: str, fields: Mapping[str, FieldKind], known_id: str | None
    ) -> RemoteAudience:
        """Make sure the audience and its fields exist: `known_id`, else by name, else created."""

    @abstractmethod
    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Make sure these people are in, with their fields as given."""

    @abstractmethod
    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Make sure the fields of these people, who are in, are as given."""

    @abstractmethod
    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Make sure these people are out, going by their identity alone if need be."""

    def prepare(self, operation: Operation, members: Sequence[Member]) -> Any:
        """What a verb makes of these people before its first call, where that takes a while.

        The engine asks for it while the batch before is on its way, and hands it to the verb in
        `Batch.prepared`; a verb that gets None makes it itself. Nobody is called here.
        """
        return None

    def erase(self, identities: Sequence[str]) -> Answer:
        """Delete these people for good, from everything the account holds; strangers are no error.

        The answer's `vendor` counts what happened (`erased`, `not_there`); its rejections name
        identities, in the place of customer ids, that a person has to see to. Raises `NotOffered`
        where the vendor has no call for it: people are then removed from each of our audiences.
        """
        raise NotOffered(f"{self.name} has no call to erase people")

    def held_members(self, audience: RemoteAudience, page: int) -> MemberPage:
        """One page of the identities in an audience; raises where none can be listed."""
        raise NotImplementedError(f"{self.name} cannot list who is in an audience")

    def size(self, audience: RemoteAudience) -> Size:
        """How many are in an audience, as exactly as the vendor tells; raises where it does not."""
        raise NotImplementedError(f"{self.name} does not tell the size of an audience")

    def statuses(self, group: str, since: datetime | None, page: int) -> StatusPage:
        """One page of a group's contacts that may have changed since then; None asks for all."""
        raise NotImplementedError(f"{self.name} has no status group {group}")

    def outcome(self, vendor: Mapping[str, str | int]) -> Outcome | None:
        """What became of a batch by the `vendor` of its answer; None if that said it all."""
        return None

    @classmethod
    def connection(cls) -> str:
        """The id of the Airflow connection this destination is reached by."""
        return connection_id(cls.name)
