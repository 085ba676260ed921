"""Send a plan: a stream of batches, a few at once, and a receipt for each that was answered."""

from __future__ import annotations

import gc
import logging
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa

from include.activation.calls import Caller
from include.activation.ledger import Ledger
from include.activation.plan import Plan, refuse_older
from include.activation.receipts import NotAccepted, Receipt, acknowledged, write_receipt
from include.activation.sessions import SessionBook
from include.activation.sizes import Sizes
from include.activation.workbench import Workbench
from include.destinations.base import (
    Answer,
    Batch,
    BatchRefused,
    ConnectionDropped,
    Destination,
    Member,
    Operation,
    Rejection,
    RemoteAudience,
    Session,
    SessionOver,
)
from include.erasure.watch import Watch
from include.publishing import Snapshot

# How many rows of a plan are joined with their contacts at a time; and how many of those leave
# DuckDB at a time, of which twice as many are in memory.
ROWS_JOINED = 60_000
ROWS_AT_ONCE = 10_000
ROWS_IN_HAND = 1000
# Rows are many and hold no cycles: to look for some at the usual pace takes a fifth of the time.
OBJECTS_BETWEEN_COLLECTIONS = 100_000
# While one thread makes a batch, another hands one to the network piece by piece, and waits for its
# turn at the interpreter after each; at the usual 5 ms that cost a twentieth of Meta's calls.
SECONDS_BETWEEN_TURNS = 0.0005
# How many rows of one batch are looked for one by one when it is refused as a whole; if more are
# bad, it is not the rows.
MOST_POISONED = 5
# The field of a payload that names an offer until it is sent; see `include/sql/put_codes.sql`.
COUPON_CODE = "coupon_code"
# The payload of who carries no fields, as it is kept; and what stands for it.
NOTHING = (None, "{}")
NO_FIELDS: Mapping[str, object] = MappingProxyType({})
SUPERSEDED = "no longer wanted, or at another address, since the plan was made"

# As `unsent_batches.sql` selects it: batch_number, operation, customer_id, identity, contact,
# payload, status, is_current.
Row = tuple[Any, ...]
# Rows, or None where a slice ends, so that its last batch need not wait for the next to be joined.
Block: TypeAlias = pa.RecordBatch | None

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One batch of a plan as it leaves: who goes, and who is superseded.

    `prepared` is what the destination has made of all who go; see `Destination.prepare`.
    """

    number: int
    operation: Operation
    members: tuple[Member, ...]
    superseded: tuple[str, ...]
    prepared: Any = field(default=None, repr=False)


def send_batches(
    bench: Workbench,
    ledger: Ledger,
    destination: Destination,
    plan: Plan,
    snapshot: Snapshot,
    statuses: str,
    caller: Caller,
) -> None:
    """Send what has no receipt yet; removals are done before anything else begins.

    Who is no longer wanted in `snapshot`, the newest, is left out. Raises what a batch raised for
    good; the plan can then be sent on from where it stands.
    """
    refuse_older(ledger, snapshot)
    ledger.check_account(destination.account)
    done = set(acknowledged(ledger, plan.plan_id))
    sender = Sender(ledger, destination, plan, caller, bench.watch)
    parcels = _parcels(bench, ledger, destination, plan, snapshot, statuses, done)
    # Closed before the workbench is, whatever happens: the next slice may be on it.
    with _interpreter_for_sending(), closing(parcels):
        sender.send(parcels)


@contextmanager
def _interpreter_for_sending() -> Iterator[None]:
    """Rare collections of garbage, and short turns of the threads."""
    collections, turns = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *collections[1:])
    sys.setswitchinterval(SECONDS_BETWEEN_TURNS)
    try:
        yield
    finally:
        gc.set_threshold(*collections)
        sys.setswitchinterval(turns)


class Sender:
    """Carries the parcels of one plan, several at once."""

    def __init__(
        self,
        ledger: Ledger,
        destination: Destination,
        plan: Plan,
        caller: Caller,
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._ledger = ledger
        self._destination = destination
        self._plan = plan
        self._remote: Future[RemoteAudience]
        self._caller = caller
        self._verbs = {
            "remove": destination.remove,
            "update": destination.update,
            "add": destination.add,
        }
        seconds = destination.session_seconds
        self._sessions = SessionBook(ledger, plan, seconds) if seconds else None
        self._sizes = Sizes(ledger, destination.batch_size)

    def send(self, parcels: Iterator[Parcel]) -> None:
        """Send all; the first error stops the rest, and what is on its way is waited for."""
        connections = self._destination.connections
        # Some are ready when a connection is free; each that waits takes memory.
        most = connections + max(1, connections // 4)
        with ThreadPoolExecutor(connections) as pool:
            # Meanwhile the first batch is made.
            self._remote = pool.submit(self._begin)
            running: set[Future[Any]] = {self._remote}
            try:
                for operation, group in groupby(parcels, key=lambda parcel: parcel.operation):
                    for parcel in group:
                        running.add(pool.submit(self._deliver, self._prepared(parcel)))
                        if len(running) >= most:
                            running = _collect(running, all_of_them=False)
                    if operation == "remove":
                        running = _collect(running, all_of_them=True)
                _collect(running, all_of_them=True)
            except BaseException as error:
                self._caller.abandon(error)
                pool.shutdown(cancel_futures=True)
                raise

    def _begin(self) -> RemoteAudience:
        """The audience; once it is known, the destination may have felt the plan."""
        remote = _remote_audience(self._ledger, self._destination, self._plan, self._caller)
        if not self._ledger.has(self._plan.plan_id, "started.json"):
            path = self._ledger.path(self._plan.plan_id, "started.json")
            self._ledger.record(path, {"started_at": datetime.now(UTC).isoformat()})
        return remote

    def _prepared(self, parcel: Parcel) -> Parcel:
        """Made here, while those before it are on their way, and not when its turn has come."""
        prepared = self._destination.prepare(parcel.operation, parcel.members)
        return replace(parcel, prepared=prepared)

    def _deliver(self, parcel: Parcel) -> None:
        # Before the call: what it raises has been tried again already.
        self._remote.result()
        if self._watch.has_news():
            parcel = _without_erased(parcel, self._watch)
        began = time.monotonic()
        answer = Answer()
        session: Session | None = None
        attempts = 0
        if parcel.members:
            self._ledger.check_lease()
            (answer, session), attempts = self._caller.call(partial(self._attempt, parcel))
        rejected = answer.rejections
        receipt = Receipt(
            plan_id=self._plan.plan_id,
            batch_number=parcel.number,
            operation=parcel.operation,
            sent=len(parcel.members),
            accepted=len(parcel.members) - len(rejected),
            rejected=len(rejected),
            superseded=len(parcel.superseded),
            attempts=attempts,
            seconds=round(time.monotonic() - began, 3),
            answered_at=datetime.now(UTC).isoformat(),
            not_accepted=(
                *(NotAccepted(r.customer_id, r.code, r.reason, r.kind) for r in rejected),
                *(
                    NotAccepted(customer_id, "superseded", SUPERSEDED, "superseded")
                    for customer_id in parcel.superseded
                ),
            ),
            session_id=session.session_id if session else None,
            vendor=dict(answer.vendor),
        )
        write_receipt(self._ledger, receipt)
        if self._sessions and session:
            self._sessions.add_received(session.session_id, len(parcel.members))
        log.info(
            "%s to %s: batch %d of %d (%s) took %.1f s, %d rejected",
            self._plan.audience,
            self._plan.destination,
            parcel.number,
            self._plan.batches,
            parcel.operation,
            receipt.seconds,
            receipt.rejected,
        )

    def _attempt(self, parcel: Parcel) -> tuple[Answer, Session | None]:
        most = self._sizes.most(parcel.operation)
        try:
            if len(parcel.members) > most:
                return self._in_parts(parcel, most), None
            if self._sessions is None:
                return self._search(parcel, parcel.members), None
            return self._in_session(parcel, self._sessions)
        except ConnectionDropped:
            self._sizes.dropped(parcel.operation, min(len(parcel.members), most))
            raise

    def _in_session(self, parcel: Parcel, sessions: SessionBook) -> tuple[Answer, Session]:
        session = sessions.place(parcel.operation, parcel.number)
        try:
            return self._call(parcel, parcel.members, session), session
        except SessionOver:
            sessions.open(parcel.operation, parcel.number)
            raise

    def _in_parts(self, parcel: Parcel, size: int) -> Answer:
        """A batch that was cut off when it went whole; each part stands alone, in no session."""
        answer = Answer()
        for start in range(0, len(parcel.members), size):
            part = parcel.members[start : start + size]
            answer = _both(answer, self._search(parcel, part))
        return answer

    def _search(
        self, parcel: Parcel, members: tuple[Member, ...], poisoned: list[str] | None = None
    ) -> Answer:
        """Send; if the whole is refused, halve it until the rows that are to blame stand alone.

        One bad row of n costs at most 2 log2 n further calls. `poisoned`: those found so far.
        """
        poisoned = [] if poisoned is None else poisoned
        try:
            return self._call(parcel, members)
        except BatchRefused as refusal:
            if len(members) > 1:
                return self._halve(parcel, members, poisoned, refusal)
            poisoned.append(members[0].customer_id)
            reason = "the destination refuses any batch with this row"
            return Answer((Rejection(members[0].customer_id, refusal.code, reason, "fix_data"),))

    def _halve(
        self,
        parcel: Parcel,
        members: tuple[Member, ...],
        poisoned: list[str],
        refusal: BatchRefused,
    ) -> Answer:
        if len(poisoned) >= MOST_POISONED:
            raise refusal
        middle = len(members) // 2
        known = len(poisoned)
        first, rest = self._search(parcel, members[:middle], poisoned), members[middle:]
        # If nothing in the first half is to blame, the rest is, and need not be asked as one.
        if len(poisoned) == known and len(rest) > 1:
            return _both(first, self._halve(parcel, rest, poisoned, refusal))
        return _both(first, self._search(parcel, rest, poisoned))

    def _call(
        self, parcel: Parcel, members: tuple[Member, ...], session: Session | None = None
    ) -> Answer:
        """Call the verb for members of a parcel; what is prepared is for all of them alone."""
        prepared = parcel.prepared if members is parcel.members else None
        batch = Batch(parcel.number, members, session, self._plan.plan_id, prepared)
        return self._verbs[parcel.operation](self._remote.result(), batch)


def _both(first: Answer, second: Answer) -> Answer:
    return Answer(first.rejections + second.rejections, {**first.vendor, **second.vendor})


def _without_erased(parcel: Parcel, watch: Watch) -> Parcel:
    """Whoever was erased a moment ago may still be taken out, and is not sent otherwise."""
    if parcel.operation == "remove":
        return parcel
    gone = [m for m in parcel.members if watch.is_erased(m.customer_id, m.identity)]
    return replace(
        parcel,
        members=tuple(member for member in parcel.members if member not in gone),
        superseded=(*parcel.superseded, *(member.customer_id for member in gone)),
        prepared=None if gone else parcel.prepared,
    )


def _collect(running: set[Future[Any]], *, all_of_them: bool) -> set[Future[Any]]:
    """Wait for one or all; raises what they raised. Returns those still running."""
    done, left = wait(running, return_when="ALL_COMPLETED" if all_of_them else FIRST_COMPLETED)
    for future in done:
        future.result()
    return left


def _remote_audience(
    ledger: Ledger, destination: Destination, plan: Plan, caller: Caller
) -> RemoteAudience:
    """The audience at the destination; which one it is is written down once it is known."""
    known = ledger.recall(ledger.target) or {}
    known_id = known.get("audience_id")
    declared = sorted(plan.fields)
    if known_id and declared == known.get("declared"):
        return RemoteAudience(known_id, plan.audience)
    remote, _ = caller.call(
        lambda: destination.ensure_audience(plan.audience, plan.fields, known_id)
    )
    target = {
        "account": plan.account,
        "audience_id": remote.audience_id,
        # All there ever were, since each keeps its kind.
        "fields": {**known.get("fields", {}), **plan.fields},
        "declared": declared,
    }
    ledger.record(ledger.target, target)
    return remote


def _parcels(
    bench: Workbench,
    ledger: Ledger,
    destination: Destination,
    plan: Plan,
    snapshot: Snapshot,
    statuses: str,
    done: set[int],
) -> Generator[Parcel, None, None]:
    """The batches without a receipt, in order; while some are being sent, the next are joined."""
    left = [number for number in range(1, plan.batches + 1) if number not in done]
    if not left:
        return
    bench.show("plan", ledger.path(plan.plan_id, "plan.parquet"))
    bench.show_wanted(snapshot, destination.name, plan.audience)
    bench.show_statuses(statuses)
    bench.run("empty_due")
    bench.show_addressed(snapshot, type(destination), "due_contacts")
    if COUPON_CODE in plan.fields:
        codes = bench.connection.read_parquet(snapshot.path("offer_codes"))
        codes.create_view("offer_codes")
        bench.run("put_codes")
    is_newest = plan.snapshot_id == snapshot.snapshot_id
    joined = _joined(bench, left, destination.batch_size, is_newest=is_newest)
    with closing(_ahead(joined)) as blocks:
        for block in blocks:
            in_slice = chain((block,), iter(partial(next, blocks), None))
            rows = chain.from_iterable(map(_rows, in_slice))
            for (number, operation), group in groupby(rows, key=itemgetter(0, 1)):
                yield _parcel(number, operation, group)


def _joined(
    bench: Workbench, batch_numbers: list[int], batch_size: int, *, is_newest: bool
) -> Iterator[Block]:
    """The rows of batches and what has to be said of them; joined in slices of whole batches."""
    length = max(1, ROWS_JOINED // batch_size)
    for first in range(0, len(batch_numbers), length):
        taken = batch_numbers[first : first + length]
        bench.run("take_due", batch_numbers=taken, is_newest=is_newest)
        yield from bench.statement("unsent_batches").to_arrow_reader(ROWS_AT_ONCE)
        yield None


def _ahead(blocks: Iterator[Block]) -> Generator[Block, None, None]:
    """While one block is in use, the next is made, and perhaps joined."""
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(next, blocks, blocks)
        while (block := coming.result()) is not blocks:
            coming = ahead.submit(next, blocks, blocks)
            yield block


def _rows(block: pa.RecordBatch) -> Iterator[Row]:
    """The rows of a block, some at a time."""
    for start in range(0, block.num_rows, ROWS_IN_HAND):
        yield from _some_rows(block.slice(start, ROWS_IN_HAND))


def _some_rows(block: pa.RecordBatch) -> Iterator[Row]:
    """Column by column, because a cell at a time takes many times as long."""
    columns = block.to_pydict()
    columns["payload"] = _decoded(columns["payload"])
    return zip(*columns.values(), strict=True)


def _decoded(payloads: list[str | None]) -> Iterator[Mapping[str, object]]:
    """All in one go; many are empty, and those are one."""
    told = f"[{','.join(payload for payload in payloads if payload and payload not in NOTHING)}]"
    decoded = iter(msgspec.json.decode(told))
    return (NO_FIELDS if payload in NOTHING else next(decoded) for payload in payloads)


def _parcel(number: int, operation: Operation, rows: Iterator[Row]) -> Parcel:
    members = []
    superseded = []
    for _, _, customer_id, identity, contact, payload, status, is_current in rows:
        if is_current:
            members.append(Member(customer_id, identity, contact, payload, status))
        else:
            superseded.append(customer_id)
    return Parcel(number, operation, tuple(members), tuple(superseded))
