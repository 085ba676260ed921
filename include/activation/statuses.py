"""What a destination says of its contacts: pulled before each plan, only what has changed since.

The file holds hashed keys and statuses, so that nobody who unsubscribed there is planned again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.activation.calls import Caller
from include.activation.ledger import ROOT
from include.activation.workbench import Workbench
from include.destinations.base import ContactStatus, Destination

# Changes of one second may come in two pulls, and clocks differ.
OVERLAP = timedelta(minutes=5)
SCHEMA = pa.schema(
    [
        ("identity", pa.string()),
        ("status", pa.string()),
        ("is_reachable", pa.bool_()),
        ("changed_at", pa.timestamp("us")),
    ]
)


def statuses_path(destination: Destination) -> str:
    """Where the statuses of a destination's account are kept."""
    return f"{ROOT}/{destination.name}/statuses-{destination.account}.parquet"


def refresh_statuses(bench: Workbench, destination: Destination, caller: Caller) -> str:
    """Pull what has changed since the last pull; the path of the file."""
    with refreshing_statuses(bench, destination, caller) as refreshed:
        return refreshed()


@contextmanager
def refreshing_statuses(
    bench: Workbench, destination: Destination, caller: Caller
) -> Iterator[Callable[[], str]]:
    """Pull while the block works on: a vendor's answers are mostly waited for.

    What is yielded waits for the rest, and gives the path of the file.
    """
    path = statuses_path(destination)
    if not destination.status_groups:
        yield lambda: path
        return
    bench.show_statuses(path)
    [(newest,)] = bench.statement("newest_status").fetchall()
    since = newest.replace(tzinfo=UTC) - OVERLAP if newest else None
    fresh = bench.folder / "fresh.parquet"

    def refreshed() -> str:
        if pull.result():
            bench.connection.read_parquet(str(fresh)).create_view("fresh_statuses")
            [counts] = bench.run("known_statuses").to_pylist()
            if counts["told_count"] != counts["known_count"]:
                bench.store.take(bench.keep(bench.statement("merge_statuses"), path), path)
        return path

    with ThreadPoolExecutor(1) as aside:
        pull = aside.submit(_pull, destination, caller, since, fresh)
        try:
            yield refreshed
        except BaseException as error:
            # Nobody is going to ask for the rest, which may be long.
            caller.abandon(error)
            raise


def _pull(destination: Destination, caller: Caller, since: datetime | None, file: Path) -> int:
    """Write what was told to a file; the number of contacts."""
    told = 0
    with pq.ParquetWriter(file, SCHEMA) as writer:
        # Often nothing has changed, and an empty table is not worth PyArrow's importing pandas.
        for contacts in filter(None, _pages(destination, caller, since)):
            writer.write_table(_table(contacts))
            told += len(contacts)
    return told


def _pages(
    destination: Destination, caller: Caller, since: datetime | None
) -> Iterator[Sequence[ContactStatus]]:
    """All pages, a handful at a time so that memory stays small."""

    def page(group: str, number: int) -> tuple[Sequence[ContactStatus], int]:
        found, _ = caller.call(lambda: destination.statuses(group, since, number))
        return found.contacts, found.pages

    with ThreadPoolExecutor(destination.connections) as pool:
        for group in destination.status_groups:
            contacts, pages = page(group, 0)
            yield contacts
            for start in range(1, pages, destination.connections):
                numbers = range(start, min(start + destination.connections, pages))
                for contacts, _ in pool.map(page, [group] * len(numbers), numbers):
                    yield contacts


def _table(contacts: Sequence[ContactStatus]) -> pa.Table:
    return pa.Table.from_pydict(
        {
            "identity": [contact.identity for contact in contacts],
            "status": [contact.status for contact in contacts],
            "is_reachable": [contact.is_reachable for contact in contacts],
            "changed_at": [
                contact.changed_at.astimezone(UTC).replace(tzinfo=None) for contact in contacts
            ],
        },
        schema=SCHEMA,
    )
