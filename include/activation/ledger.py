"""Where the account of one audience at one destination lies in the store.

activation/<destination>/<audience>/
    target.json                      which account and which remote audience the state is about
    lease/<epoch>.json               which run works on it now
    sizes.json                       how many rows a call may carry, where it was cut off before
    state.parquet                    what the destination holds by our account
    rejected_members.parquet         what of it was refused, for dbt and for analysts
    plans/<plan_id>/plan.parquet     what is to change: ids and hashed keys only
    plans/<plan_id>/plan.json        counts, checksum, verdict; written after the Parquet file
    plans/<plan_id>/approval.json    a person lets a plan through that its guard held up
    plans/<plan_id>/started.json     from here on the destination may have felt the plan
    plans/<plan_id>/sessions/        upload sessions, where a destination has them
    plans/<plan_id>/receipts/        one file for each batch that was answered
    plans/<plan_id>/finished.json    the state holds what the receipts say
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.errors import Stop
from include.lease import Lease
from include.store import Store

ROOT = "activation"
# At a Parquet file's end: the footer's length, and four letters.
FOOTER_LENGTH_BYTES = 8


class StateLost(Stop):
    """What a destination holds is not known any more; a person chooses how to go on."""


class Ledger:
    """The files of one audience at one destination.

    With a lease nothing is written any more once another run has taken over.
    """

    def __init__(
        self, store: Store, destination: str, audience: str, lease: Lease | None = None
    ) -> None:
        self.store = store
        self.destination = destination
        self.audience = audience
        self.folder = f"{ROOT}/{destination}/{audience}"
        self.state = f"{self.folder}/state.parquet"
        self.rejected = f"{self.folder}/rejected_members.parquet"
        self.target = f"{self.folder}/target.json"
        self.sizes = f"{self.folder}/sizes.json"
        self._lease = lease

    def plan_ids(self) -> list[str]:
        """All plans, oldest first."""
        return self.store.list(f"{self.folder}/plans")

    def path(self, plan_id: str, *name: str) -> str:
        """A file or folder of one plan."""
        return "/".join((self.folder, "plans", plan_id, *name))

    def has(self, plan_id: str, name: str) -> bool:
        """Whether a plan has come as far as that file."""
        return self.store.exists(self.path(plan_id, name))

    def check_lease(self) -> None:
        """Raise `LeaseLost` if another run has taken over."""
        if self._lease:
            self._lease.check()

    def record(self, path: str, content: dict[str, Any]) -> None:
        """Write a small JSON file. Raises `LeaseLost`."""
        self.check_lease()
        self.store.write(path, json.dumps(content, indent=1).encode())

    def recall(self, path: str) -> dict[str, Any] | None:
        """A small JSON file, None if it is not there."""
        if not self.store.exists(path):
            return None
        content: dict[str, Any] = json.loads(self.store.read(path))
        return content

    def unfinished(self) -> str | None:
        """The plan that was begun and not folded into the state yet; there is one at most."""
        for plan_id in reversed(self.plan_ids()):
            if self.has(plan_id, "finished.json"):
                return None
            if self.has(plan_id, "started.json"):
                return plan_id
        return None

    def last_finished(self) -> str | None:
        """The last plan that was folded into the state."""
        for plan_id in reversed(self.plan_ids()):
            if self.has(plan_id, "finished.json"):
                return plan_id
        return None

    def finished_at(self, plan_id: str) -> str | None:
        """When a plan was folded into the state, ISO 8601."""
        record = self.recall(self.path(plan_id, "finished.json"))
        return record["finished_at"] if record else None

    def discard_unstarted(self) -> None:
        """Remove plans of which nothing was ever sent. Raises `LeaseLost`.

        None is older than one that was: each new plan begins with this.
        """
        self.check_lease()
        for plan_id in reversed(self.plan_ids()):
            if self.has(plan_id, "started.json"):
                return
            self.store.remove(self.path(plan_id))

    def finish(self, plan_id: str) -> None:
        """Note that a plan is folded into the state, and by what the state will be known again."""
        finished_at = datetime.now(UTC).isoformat()
        content = {"finished_at": finished_at, "state": self.state_fingerprint()}
        self.record(self.path(plan_id, "finished.json"), content)

    def acknowledge_state(self, **noted: bool) -> None:
        """Take the state as it is now for the one that the last plan left; note that of it."""
        if last := self.last_finished():
            content = self._left() | {"state": self.state_fingerprint()} | noted
            self.record(self.path(last, "finished.json"), content)

    def is_begun_anew(self) -> bool:
        """Whether the state knows nobody who was in, until the next plan is folded into it."""
        return bool(self._left().get("is_begun_anew"))

    def state_fingerprint(self) -> str | None:
        """What tells two states apart, read in a moment; None if there is none.

        That is the SHA-256 of the Parquet file's footer, which has the place, the length and the
        bounds of every column's chunks.
        """
        if not self.store.exists(self.state):
            return None
        with self.store.filesystem.open(self.store.locate(self.state), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - FOOTER_LENGTH_BYTES))
            length = int.from_bytes(file.read(4), "little") + FOOTER_LENGTH_BYTES
            # A damaged file may say anything.
            file.seek(max(0, size - length))
            return hashlib.sha256(file.read()).hexdigest()

    def is_state_known(self) -> bool:
        """Whether the state is the one that the last plan left."""
        if self.last_finished() is None:
            return True
        there = self.state_fingerprint()
        known = self._left().get("state")
        # A fold that was killed before its last step has left a newer state than the note says.
        return there is not None and (known in (None, there) or self._may_be_folded())

    def _left(self) -> dict[str, Any]:
        """What is noted of the state that the last plan left."""
        last = self.last_finished()
        return (self.recall(self.path(last, "finished.json")) or {}) if last else {}

    def _may_be_folded(self) -> bool:
        """Whether a fold may have begun: all of a plan that is not finished was answered."""
        begun = self.unfinished()
        plan = self.recall(self.path(begun, "plan.json")) if begun else None
        if begun is None or plan is None:
            return False
        batches = max((section["last_batch"] for section in plan["sections"]), default=0)
        return len(self.store.list(self.path(begun, "receipts"))) == batches

    def check_state(self) -> None:
        """Raise `StateLost` if the state is gone, or is not the one that the last plan left.

        A state from a backup does not know what was sent since: a plan made from it would be wrong.
        """
        if self.is_state_known():
            return
        what = (
            "is gone"
            if not self.store.exists(self.state)
            else "is not the one that the last sync left"
        )
        raise StateLost(
            f"the state of {self.audience} at {self.destination} {what}: nothing is sent before a"
            f" person has chosen. `regulars reconcile --audience {self.audience} --destination"
            f" {self.destination}` compares; with --repair the state is read from the destination,"
            " with --adopt made from our plans and receipts, with --adds-only begun anew"
        )

    def check_account(self, account: str) -> None:
        """Raise `Stop` if the state is about another account, or lost (see `check_state`)."""
        known = self.recall(self.target)
        if known and known["account"] != account:
            raise Stop(
                f"audience {self.audience} was kept at {self.destination} account "
                f"{known['account']}, but the connection says {account}: put the connection right, "
                f"or remove {self.folder} to begin anew there"
            )
        self.check_state()

    def take(self, file: Path, path: str) -> None:
        """Move a finished local file into its place. Raises `LeaseLost`."""
        self.check_lease()
        self.store.take(file, path)


def lease_folder(destination: str, audience: str) -> str:
    """Where the lease of one audience at one destination lies."""
    return f"{ROOT}/{destination}/{audience}/lease"


def ledgers(store: Store) -> list[Ledger]:
    """Every audience at every destination that has files."""
    return [
        Ledger(store, destination, audience)
        for destination in store.list(ROOT)
        for audience in store.list(f"{ROOT}/{destination}")
        if store.exists(f"{ROOT}/{destination}/{audience}/plans")
    ]
