"""Receipts: what a destination answered to each batch of a plan.

A batch without a receipt is not known to have arrived, and is sent again. Accepted members are only
counted (the plan names them); every other one is named with a code and our own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from include.activation.ledger import Ledger

OUTCOMES = pa.schema(
    [
        ("batch_number", pa.int32()),
        ("customer_id", pa.string()),
        ("code", pa.string()),
        ("reason", pa.string()),
        ("class", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """A member that a batch did not bring in line; class `superseded` was never sent."""

    customer_id: str
    code: str
    reason: str
    kind: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of one batch. `sent` of its members went out, the others were superseded."""

    plan_id: str
    batch_number: int
    operation: str
    sent: int
    accepted: int
    rejected: int
    superseded: int
    attempts: int
    seconds: float
    answered_at: str
    not_accepted: tuple[NotAccepted, ...] = ()
    session_id: int | None = None
    vendor: dict[str, Any] = field(default_factory=dict)


def write_receipt(ledger: Ledger, receipt: Receipt) -> None:
    """From here on the batch is never sent again."""
    name = f"{receipt.batch_number:07}.json"
    ledger.record(ledger.path(receipt.plan_id, "receipts", name), asdict(receipt))


def acknowledged(ledger: Ledger, plan_id: str) -> list[int]:
    """The numbers of the batches that have a receipt."""
    names = ledger.store.list(ledger.path(plan_id, "receipts"))
    return [int(name.removesuffix(".json")) for name in names]


def read_receipts(ledger: Ledger, plan_id: str) -> Iterator[Receipt]:
    """The receipts of a plan in the order of its batches."""
    folder = ledger.path(plan_id, "receipts")
    for name in ledger.store.list(folder):
        content = json.loads(ledger.store.read(f"{folder}/{name}"))
        content["not_accepted"] = tuple(NotAccepted(**row) for row in content["not_accepted"])
        yield Receipt(**content)


def outcomes(receipts: Iterator[Receipt]) -> pa.Table:
    """The members that were not accepted, for the fold."""
    rows = [
        {
            "batch_number": receipt.batch_number,
            "customer_id": row.customer_id,
            "code": row.code,
            "reason": row.reason,
            "class": row.kind,
        }
        for receipt in receipts
        for row in receipt.not_accepted
    ]
    return pa.Table.from_pylist(rows, schema=OUTCOMES)
