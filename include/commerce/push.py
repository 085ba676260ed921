"""Push purchases and offers to the store of a Mailchimp list, each once, and again when it changes.

    commerce/mailchimp/<list>/pushed.parquet        what the store holds by our account
    commerce/mailchimp/<list>/batches/<n>.parquet   a batch that was handed in, change by change
    commerce/mailchimp/<list>/batches/<n>.json      its id at Mailchimp

One push at a time works on a list, and holds its lease. Few changes are made call by call; many are
handed in as batches, which Mailchimp works on in its own time. A batch that is not done when
patience ends is taken up by its id by the next push. Only the purchases of people who are contacts
already are told: this push never makes a contact, nor does it ever say that somebody has opted in.
Whoever was erased is not told of any more, and `include/commerce/people.py` takes them out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import count

import pyarrow as pa

from include import publishing
from include.activation.calls import open_turns
from include.activation.statuses import statuses_path
from include.activation.workbench import Workbench, open_workbench
from include.commerce.mailchimp import Answered, Change, MailchimpStore
from include.connections import Credentials, read_connection
from include.destinations.mailchimp import Mailchimp, Missing
from include.errors import BadInput, Retry, Stop
from include.lease import Lease, hold_lease
from include.settings import Settings
from include.store import Store

# Products and rules before what names them: the statement that makes the records, and their kinds.
STAGES = (
    ("store_basics", ("customer", "product", "promo_rule")),
    ("store_orders", ("order", "promo_code")),
)
# So many records are in memory at a time.
PART_SIZE = 20_000
# What Mailchimp says to be there already is then changed; what is gone is then made.
ROUNDS = 2
SINGLE_CALLS = 50
BATCH_SIZE = 1000
# Mailchimp takes 500 pending batches of an account, ours or not.
MOST_BATCHES = 50

HANDED_IN = pa.schema(
    [
        ("kind", pa.string()),
        ("record_id", pa.string()),
        ("parent_id", pa.string()),
        ("operation", pa.string()),
        ("fingerprint", pa.string()),
        ("is_doubtful", pa.bool_()),
    ]
)
ANSWERS = pa.schema(
    [*HANDED_IN, pa.field("outcome", pa.string()), pa.field("refusal", pa.string())]
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What a push told Mailchimp's store, in records; `refused` ones are not tried again as they
    are.
    """

    kind: str
    created: int
    changed: int
    deleted: int
    refused: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a push waits for Mailchimp's batches, and how often it looks; in seconds."""

    longest: float = 3600
    between: float = 10


def push_purchases(
    settings: Settings,
    credentials: Callable[[str], Credentials] = read_connection,
    waiting: Waiting | None = None,
) -> list[Told]:
    """Tell Mailchimp's store all that has changed since the last push.

    Raises `Stop` before the first snapshot or the first sync to Mailchimp, `BadInput` if the store
    has no name or the orders have several currencies, `Retry` if a batch takes longer than we wait,
    the account is limited, or another push is under way.
    """
    connection = Mailchimp.connection()
    found = credentials(connection)
    shop_name = found.require_option("shop_name", connection)
    store = Store(settings.store)
    snapshot = publishing.newest(store)
    statuses = statuses_path(Mailchimp(found))
    if not store.exists(statuses):
        raise Stop("Mailchimp was never asked for its contacts: sync an audience there first")
    list_id = Mailchimp(found).list_id
    folder = f"commerce/mailchimp/{list_id}/lease"
    with (
        hold_lease(store, folder, settings.lock_wait_seconds) as lease,
        open_workbench(settings, store) as bench,
    ):
        turns = open_turns(settings, Mailchimp, found, lease.check)
        remote = MailchimpStore(found, turns, list_id)
        push = Push(bench, remote, lease, waiting or Waiting())
        push.take_up()
        for table in ("orders", "order_lines", "contacts", "offer_codes"):
            bench.connection.read_parquet(snapshot.path(table)).create_view(table)
        bench.leave_out_erased()
        bench.show_statuses(statuses)
        bench.run("store_sales", shop_url=found.extra.get("shop_url"))
        is_new = remote.ensure(shop_name, _currency(bench))
        for _ in range(ROUNDS):
            # An order whose product was not heard of would be refused for good.
            is_complete = all(push.tell(records, kinds) for records, kinds in STAGES)
        if is_new and is_complete:
            remote.open_to_automations()
    return push.told()


class Push:
    """One push: what was said, and what has become of it."""

    def __init__(
        self, bench: Workbench, remote: MailchimpStore, lease: Lease, waiting: Waiting
    ) -> None:
        self._bench = bench
        self._remote = remote
        self._lease = lease
        self._waiting = waiting
        self._ends = time.monotonic() + waiting.longest
        self._folder = f"commerce/mailchimp/{remote.list_id}"
        self._counts: dict[str, dict[str, int]] = {}

    def take_up(self) -> None:
        """Wait for the batches that an earlier push has handed in."""
        names = self._bench.store.list(f"{self._folder}/batches")
        for name in [name for name in names if name.endswith(".parquet")]:
            self._collect(name.removesuffix(".parquet"))

    def tell(self, records: str, kinds: Sequence[str]) -> bool:
        """Say what has changed among records of these kinds; whether all of it was answered."""
        most = max(len(self._bench.connection.table(name)) for name in ("buyers", "bought"))
        parts = most // PART_SIZE + 1
        return all([self._tell_part(records, kinds, part, parts) for part in range(parts)])

    def _tell_part(self, records: str, kinds: Sequence[str], part: int, parts: int) -> bool:
        self._bench.run(records, part=part, parts=parts)
        self._show_pushed()
        found = self._bench.run("store_changes", kinds=list(kinds), part=part, parts=parts)
        changes = [Change(**row) for row in found.to_pylist()]
        if len(changes) <= SINGLE_CALLS:
            return self._tell_singly(changes)
        batches = [
            changes[first : first + BATCH_SIZE] for first in range(0, len(changes), BATCH_SIZE)
        ]
        is_complete = True
        for first in range(0, len(batches), MOST_BATCHES):
            told = map(self._of_others, batches[first : first + MOST_BATCHES])
            numbers = [self._hand_in(batch) for batch in told if batch]
            for number in numbers:
                is_complete &= self._collect(number)
        return is_complete

    def _tell_singly(self, changes: Sequence[Change]) -> bool:
        told, answers = [], []
        for change in changes:
            for one in self._of_others([change]):
                answers.append(self._remote.send(one))
                told.append(one)
        return self._fold(told, answers)

    def _of_others(self, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes without those about whoever was erased since the push began."""
        watch = self._bench.watch
        if not watch.has_news():
            return changes
        return [change for change in changes if not watch.is_erased(*_buyer(change))]

    def told(self) -> list[Told]:
        """The counts, kind by kind."""
        return [Told(kind, **counts) for kind, counts in sorted(self._counts.items())]

    def _hand_in(self, changes: Sequence[Change]) -> str:
        """Keep what a batch says, hand it in, and keep its id; the number it is kept under."""
        store = self._bench.store
        taken = set(store.list(f"{self._folder}/batches"))
        number = next(f"{n:06}" for n in count(1) if f"{n:06}.parquet" not in taken)
        table = pa.Table.from_pylist([_row(change) for change in changes], schema=HANDED_IN)
        file = self._bench.keep(self._bench.connection.from_arrow(table), f"{number}.parquet")
        store.take(file, f"{self._folder}/batches/{number}.parquet")
        batch_id = self._remote.start(changes)
        content = json.dumps({"batch_id": batch_id}).encode()
        store.write(f"{self._folder}/batches/{number}.json", content)
        return number

    def _collect(self, number: str) -> bool:
        """Wait for a batch, and count its answers in; whether all of it was answered.

        One whose id we do not know was never answered for, one that Mailchimp does not know is
        older than a week: what they said is said again, which changes nothing where it was heard.
        """
        store = self._bench.store
        path = f"{self._folder}/batches/{number}"
        self._bench.connection.execute("drop view if exists handed_in")
        self._bench.show("handed_in", f"{path}.parquet")
        rows = self._bench.connection.table("handed_in").to_arrow_table().to_pylist()
        # What an earlier release kept of a document is not needed.
        changes = [Change(**(row | {"document": None})) for row in rows]
        is_complete = False
        if store.exists(f"{path}.json"):
            batch_id = json.loads(store.read(f"{path}.json"))["batch_id"]
            try:
                is_complete = self._fold(changes, self._wait(batch_id, changes))
            except Missing:
                log.warning("Mailchimp no longer knows batch %s", batch_id)
        self._bench.connection.execute("drop view if exists handed_in")
        store.remove(f"{path}.json")
        store.remove(f"{path}.parquet")
        return is_complete

    def _wait(self, batch_id: str, changes: Sequence[Change]) -> list[Answered]:
        while True:
            answers = self._remote.results(batch_id, changes)
            if answers is not None:
                return answers
            if time.monotonic() > self._ends:
                raise Retry(
                    f"Mailchimp still works on batch {batch_id}; the next push takes it up",
                    self._waiting.between,
                )
            time.sleep(self._waiting.between)

    def _fold(self, changes: Sequence[Change], answers: Sequence[Answered]) -> bool:
        """Count answers into what the store holds by our account; False if some are to come."""
        if not changes:
            return True
        rows = []
        for change, answer in zip(changes, answers, strict=True):
            rows.append(_row(change) | {"outcome": answer.outcome, "refusal": answer.refusal})
            self._count(change, answer)
        self._show_pushed()
        table = pa.Table.from_pylist(rows, schema=ANSWERS)
        self._bench.connection.from_arrow(table).create_view("answers", replace=True)
        file = self._bench.keep(self._bench.statement("fold_pushed"), "pushed.parquet")
        self._lease.check()
        self._bench.store.take(file, f"{self._folder}/pushed.parquet")
        return all(answer.outcome != "later" for answer in answers)

    def _count(self, change: Change, answer: Answered) -> None:
        zero = {"created": 0, "changed": 0, "deleted": 0, "refused": 0}
        counts = self._counts.setdefault(change.kind, zero)
        if answer.outcome == "refused":
            counts["refused"] += 1
        elif answer.outcome == "done" or (answer.outcome, change.operation) == ("absent", "delete"):
            counts[f"{change.operation}d"] += 1

    def _show_pushed(self) -> None:
        self._bench.connection.execute("drop view if exists pushed")
        path = f"{self._folder}/pushed.parquet"
        if self._bench.store.exists(path):
            self._bench.show("pushed", path)
        else:
            self._bench.run("empty_pushed")


def _row(change: Change) -> dict[str, str | bool | None]:
    """What is kept of a change: not its document, which names a person."""
    return {
        "kind": change.kind,
        "record_id": change.record_id,
        "parent_id": change.parent_id,
        "operation": change.operation,
        "fingerprint": change.fingerprint,
        "is_doubtful": change.is_doubtful,
    }


def _buyer(change: Change) -> tuple[str, str]:
    """Whom a change is about: the customer's id and the hash of the address, '' if nobody."""
    told = json.loads(change.document or "{}")
    if change.kind == "order":
        told = told["customer"]
    if "email_address" not in told:
        return "", ""
    return told["id"], md5(told["email_address"].strip().lower().encode()).hexdigest()


def _currency(bench: Workbench) -> str:
    """The one currency of all orders: a store has no other."""
    orders = bench.connection.table("orders").filter("currency is not null")
    found = sorted(code for (code,) in orders.project("currency").distinct().fetchall())
    if len(found) > 1:
        raise BadInput(
            f"the orders are in {', '.join(found)}: set reporting_currency, Mailchimp's store has "
            "one currency"
        )
    return found[0] if found else "USD"
