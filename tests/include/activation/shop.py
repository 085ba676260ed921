"""A shop for tests: people with consents, published as snapshots, synced to a sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from include.activation import sync as activation
from include.activation.audiences import Audience, Guard, Target
from include.activation.calls import Patience
from include.connections import Credentials
from include.instants import IDENTIFIER
from include.publishing import CURRENT, Published, Snapshot
from include.settings import Settings
from include.store import Store
from tests.sandbox_server import Sandbox

QUICK = Patience(attempts=4, first_wait=0.01, longest_wait=1, deadline=300)
NUMBERED = ("member_key", "fingerprint")
NUMBERS = ", ".join(f"md5_number_lower({name}) as {name}" for name in NUMBERED)
FREE = Guard(max_removed_percent=100, max_added_percent=10_000, min_members=0)


@dataclass(frozen=True)
class Person:
    customer_id: str
    email: str | None
    phone_key: str | None = None
    first_name: str | None = "Ann"
    last_name: str | None = "Smith"
    country: str | None = "GB"
    language: str | None = "en"
    payload: dict[str, Any] = field(default_factory=dict)

    @property
    def mailchimp_id(self) -> str:
        return md5((self.email or "").strip().lower().encode()).hexdigest()

    @property
    def meta_key(self) -> str:
        return sha256((self.email or "").strip().lower().encode()).hexdigest()


def people(numbers: Iterable[int]) -> list[Person]:
    return [Person(f"shop:{n}", f"person{n}@shop.test") for n in numbers]


def audience(
    name: str = "lapsed_vips", guard: Guard = FREE, fields: Iterable[str] = ()
) -> Audience:
    targets = (Target(to="mailchimp", fields=tuple(fields)), Target(to="meta"))
    return Audience(
        name=name, description="For tests.", owner="tests", destinations=targets, guard=guard
    )


class Shop:
    """Publishes snapshots into one store and syncs them to one sandbox."""

    def __init__(self, home: Path, sandbox: Sandbox, store_url: str | None = None) -> None:
        self.settings = Settings(
            home=home, memory_limit="512MB", threads=1, REGULARS_STORE=store_url
        )
        self.store = Store(self.settings.store)
        self.sandbox = sandbox
        self.credentials = {
            "mailchimp": Credentials(
                password="0" * 32 + "-us1",
                extra={"list_id": "regulars", "base_url": sandbox.mailchimp_url},
            ),
            "meta": Credentials(
                password="token", extra={"ad_account_id": "act_1000", "base_url": sandbox.meta_url}
            ),
        }

    def publish(
        self,
        wanted: Iterable[Person],
        others: Iterable[Person] = (),
        audience: str = "lapsed_vips",
        published_at: datetime | None = None,
        codes: dict[str, str] | None = None,
        more: Mapping[str, pa.Table] | None = None,
    ) -> Snapshot:
        """A snapshot in which `wanted` are in the audience at both destinations.

        codes: those of offers, by the offer's id. more: other tables, by name.
        """
        published_at = published_at or datetime.now(UTC)
        wanted = list(wanted)
        snapshot_id = published_at.strftime(IDENTIFIER)
        contents = {
            "desired_memberships": _memberships(audience, wanted),
            "membership_decisions": _decisions(audience, wanted, list(others)),
            "audience_members": _members(audience, wanted),
            "contacts": _contacts([*wanted, *others]),
        }
        if codes is not None:
            rows = [{"offer_id": offer_id, "code": code} for offer_id, code in codes.items()]
            contents["offer_codes"] = pa.Table.from_pylist(rows)
        contents |= more or {}
        snapshot = Snapshot(
            snapshot_id=snapshot_id,
            as_of=date(2026, 1, 31),
            published_at=published_at,
            build="",
            previous_snapshot_id=None,
            kept=(),
            versions={},
            tables={
                table: self._write(f"published/{snapshot_id}/{table}.parquet", content)
                for table, content in contents.items()
            },
        ).bound_to(self.store)
        self.store.write(CURRENT, snapshot.model_dump_json().encode())
        return snapshot

    def sync(
        self, destination: str, declared: Audience | None = None, **options: Any
    ) -> activation.SyncSummary:
        return activation.sync(
            self.settings,
            declared or audience(),
            destination,
            self.credentials[destination],
            patience=options.pop("patience", QUICK),
            **options,
        )

    def revoked(self, destination: str) -> None:
        known = self.credentials[destination]
        self.credentials[destination] = replace(known, password="revoked-us1")

    def restored(self, destination: str) -> None:
        known = self.credentials[destination]
        self.credentials[destination] = replace(known, password="0" * 32 + "-us1")

    def state(self, destination: str, name: str = "lapsed_vips") -> list[dict[str, Any]]:
        path = self.local(f"activation/{destination}/{name}/state.parquet")
        return duckdb.read_parquet(str(path)).to_arrow_table().to_pylist()

    def local(self, path: str) -> Path:
        """A file of the store, for those who read none but local ones."""
        if self.store.is_local:
            return Path(self.store.locate(path))
        file = self.settings.home.with_name("fetched") / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.store.read(path))
        return file

    def held(self, destination: str, name: str = "lapsed_vips") -> set[str]:
        rows = self.state(destination, name)
        return {row["identity"] for row in rows if row["status"] == "held"}

    def receipts(self, destination: str, name: str = "lapsed_vips") -> list[dict[str, Any]]:
        folder = f"activation/{destination}/{name}/plans"
        return [
            json.loads(self.store.read(f"{folder}/{plan}/receipts/{receipt}"))
            for plan in self.store.list(folder)
            for receipt in self.store.list(f"{folder}/{plan}/receipts")
        ]

    def there(self, destination: str, name: str = "lapsed_vips") -> set[str]:
        """Who is in the audience by the destination's own account, by our identities."""
        if destination == "mailchimp":
            return self.sandbox.tagged(name)
        members = self.sandbox.audience(name)["members"]
        return {f"{member['EMAIL']}:{member['PHONE']}" for member in members}

    def _write(self, path: str, content: pa.Table) -> Published:
        columns = f"* replace ({NUMBERS})" if "member_key" in content.column_names else "*"
        with self.store.workspace() as folder:
            file = Path(folder) / "table.parquet"
            duckdb.from_arrow(content).project(columns).write_parquet(str(file))
            checksum = sha256(file.read_bytes()).hexdigest()
            self.store.take(file, path)
        return Published(rows=content.num_rows, sha256=checksum)


def _memberships(audience: str, wanted: list[Person]) -> pa.Table:
    rows = [
        {
            "channel": channel,
            "audience": audience,
            "customer_id": person.customer_id,
            "member_key": person.customer_id,
            "fingerprint": repr(person),
            "payload": json.dumps(person.payload) if channel == "mailchimp" else None,
        }
        for channel in ("mailchimp", "meta")
        for person in wanted
    ]
    names = ("channel", "audience", "customer_id", "member_key", "fingerprint", "payload")
    return pa.Table.from_pylist(rows, schema=pa.schema([(n, pa.string()) for n in names]))


def _decisions(audience: str, wanted: list[Person], others: list[Person]) -> pa.Table:
    rows = [
        {
            "medium": medium,
            "audience": audience,
            "customer_id": person.customer_id,
            "decision": decision,
        }
        for medium in ("email", "ads")
        for persons, decision in ((wanted, "included"), (others, "no_consent"))
        for person in persons
    ]
    names = ("medium", "audience", "customer_id", "decision")
    return pa.Table.from_pylist(rows, schema=pa.schema([(n, pa.string()) for n in names]))


def _members(audience: str, wanted: list[Person]) -> pa.Table:
    rows = [
        {"audience": audience, "customer_id": person.customer_id, "reason": "silent for 74 days"}
        for person in wanted
    ]
    names = ("audience", "customer_id", "reason")
    return pa.Table.from_pylist(rows, schema=pa.schema([(n, pa.string()) for n in names]))


def _contacts(persons: list[Person]) -> pa.Table:
    names = (
        "customer_id",
        "email",
        "phone_key",
        "first_name",
        "last_name",
        "country",
        "language",
    )
    rows = [{name: getattr(person, name) for name in names} for person in persons]
    told = pa.Table.from_pylist(rows, schema=pa.schema([(n, pa.string()) for n in names]))
    consents = pa.array([True] * len(rows), pa.bool_())
    suppressed = pa.nulls(len(rows), pa.string())
    return told.append_column("has_email_consent", consents).append_column(
        "suppressed_reason", suppressed
    )


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=30)
