"""The shop in the truth store: its records, its deletion events, its settings and its clock."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

from include.sandbox.shopify.search import Bounds
from include.sandbox.shopify.world import DOCUMENTS, Document, Order, Settings
from include.sandbox.truth import Truth

VISIBLE_DAYS = 60
SORT_COLUMNS = {
    "ID": "id",
    "UPDATED_AT": "updated_at",
    "CREATED_AT": "created_at",
    "PROCESSED_AT": "processed_at",
}
MATCHING = """
    FROM shopify_records
    WHERE kind = :kind
        AND updated_at >= :updated_from AND updated_at < :updated_to
        AND created_at >= :created_from AND created_at < :created_to
        AND processed_at >= :processed_from AND processed_at < :processed_to
        AND id >= :id_from AND id < :id_to
"""
PAGE = """
    SELECT id, created_at, updated_at, processed_at, document, sort_column AS sort_value
    matching
        AND (sort_column, id) > (:last_value, :last_id)
    ORDER BY sort_column, id
    LIMIT :count
"""
PAGES = {
    key: PAGE.replace("matching", MATCHING).replace("sort_column", column)
    for key, column in SORT_COLUMNS.items()
}
COUNT = "SELECT count(*) FROM (SELECT 1 matching LIMIT :count)".replace("matching", MATCHING)


def written(instant: datetime) -> str:
    """An instant as Shopify writes it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Shop:
    """One shop's records."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def settings(self) -> Settings:
        """The settings; the defaults until somebody changes them."""
        row = self.truth.one("SELECT settings FROM shopify_shop")
        return Settings.model_validate_json(row["settings"]) if row else Settings()

    def change_settings(self, changes: dict[str, Any]) -> Settings:
        """Change some settings. Raises pydantic's error if one does not fit."""
        settings = Settings.model_validate(self.settings().model_dump() | changes)
        with self.truth.connection as connection:
            connection.execute(
                "INSERT OR REPLACE INTO shopify_shop (number, settings) VALUES (1, ?)",
                (settings.model_dump_json(),),
            )
        return settings

    def now(self) -> str:
        """The present by the shop's clock."""
        return self.settings().now or written(datetime.now(UTC))

    def put(self, document: Document, at: str | None = None) -> None:
        """Put a record into the shop, or change the one of its id."""
        self.put_many([document], at)

    def put_many(self, documents: list[Any], at: str | None = None) -> None:
        """Put many records into the shop, all at one instant."""
        instant = at or self.now()
        with self.truth.connection as connection:
            connection.executemany(
                """
                INSERT INTO shopify_records
                    (kind, id, created_at, updated_at, processed_at, document)
                VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (kind, id) DO UPDATE SET
                    created_at = excluded.created_at,
                    updated_at = excluded.updated_at,
                    processed_at = excluded.processed_at,
                    document = excluded.document
                """,
                [
                    (
                        type(document).__name__,
                        document.id,
                        document.created_at,
                        instant,
                        getattr(document, "processed_at", None) or document.created_at,
                        document.model_dump_json(exclude_defaults=True),
                    )
                    for document in documents
                ],
            )

    def get(self, kind: str, number: int) -> Any:
        """The document of a record, None if there is none."""
        row = self.row(kind, number)
        return self.parse(row) if row else None

    @staticmethod
    def parse(row: Any) -> Any:
        """The document in a stored record."""
        return DOCUMENTS[row["kind"]].model_validate_json(row["document"])

    def row(self, kind: str, number: int) -> sqlite3.Row | None:
        """A record as it is stored."""
        return self.truth.one(
            "SELECT * FROM shopify_records WHERE kind = ? AND id = ?", (kind, number)
        )

    def delete(self, kind: str, number: int, at: str | None = None) -> bool:
        """Delete a record, leaving an event; whether it was there."""
        with self.truth.connection as connection:
            gone = connection.execute(
                "DELETE FROM shopify_records WHERE kind = ? AND id = ?", (kind, number)
            ).rowcount
            if gone:
                connection.execute(
                    """
                    INSERT INTO shopify_events (action, subject_type, subject_id, created_at)
                    VALUES ('destroy', ?, ?, ?)
                    """,
                    (kind.upper(), number, at or self.now()),
                )
        return bool(gone)

    def has_orders(self, customer: int) -> bool:
        """Whether a customer has ordered, and can therefore not be deleted."""
        return bool(
            self.truth.one(
                """
                SELECT 1 FROM shopify_records
                WHERE kind = 'Order' AND document ->> 'customer_id' = ?
                """,
                (customer,),
            )
        )

    def order_of_refund(self, number: int) -> int | None:
        """The number of the order that a refund belongs to."""
        row = self.truth.one(
            """
            SELECT orders.id
            FROM shopify_records AS orders, json_each(orders.document, '$.refunds') AS refunds
            WHERE orders.kind = 'Order' AND refunds.value ->> 'id' = ?
            """,
            (number,),
        )
        return int(row["id"]) if row else None

    def page(
        self, kind: str, bounds: Bounds, sort: str, last: tuple[Any, int] | None, count: int
    ) -> list[sqlite3.Row]:
        """The records after (sort value, id) in the order of a sort key."""
        first: Any = -1 if sort == "ID" else ""
        value, number = last or (first, -1)
        parameters = self._parameters(kind, bounds) | {
            "last_value": value,
            "last_id": number,
            "count": count,
        }
        return self.truth.all(PAGES[sort], parameters)

    def count(self, kind: str, bounds: Bounds, limit: int) -> int:
        """How many records match, up to a limit."""
        parameters = self._parameters(kind, bounds) | {"count": limit}
        found = self.truth.one(COUNT, parameters)
        return int(found[0]) if found else 0

    def events(
        self, bounds: Bounds, sort: str, last: tuple[Any, int] | None, count: int
    ) -> list[sqlite3.Row]:
        """The deletion events after (sort value, id)."""
        return self.truth.all(
            """
            SELECT *, iif(:sort = 'ID', id, created_at) AS sort_value FROM shopify_events
            WHERE created_at >= :created_from AND created_at < :created_to
                AND id >= :id_from AND id < :id_to
                AND (:action IS NULL OR action = :action)
                AND (:subject_type IS NULL OR subject_type = :subject_type)
                AND (iif(:sort = 'ID', id, created_at), id) > (:last_value, :last_id)
            ORDER BY sort_value, id
            LIMIT :count
            """,
            bounds.ranges()
            | {
                "action": bounds.equal.get("action"),
                "subject_type": bounds.equal.get("subject_type"),
                "sort": sort,
                "last_value": last[0] if last else (-1 if sort == "ID" else ""),
                "last_id": last[1] if last else -1,
                "count": count,
            },
        )

    def is_visible(self, kind: str, created_at: str) -> bool:
        """Whether the app may see a record: orders of 60 days, without the scope for all."""
        return created_at >= self._visible_from(kind)

    def _parameters(self, kind: str, bounds: Bounds) -> dict[str, Any]:
        ranges = bounds.ranges()
        created_from = max(ranges["created_from"], self._visible_from(kind))
        return ranges | {"kind": kind, "created_from": created_from}

    def _visible_from(self, kind: str) -> str:
        settings = self.settings()
        if kind != "Order" or "read_all_orders" in settings.scopes:
            return ""
        now = datetime.fromisoformat(settings.now) if settings.now else datetime.now(UTC)
        return written(now - timedelta(days=VISIBLE_DAYS))


def edited(order: Order, remove: dict[int, int], add: list[Any]) -> Order:
    """An order after an edit. Raises `KeyError` for a line that is not on it."""
    lines = {line.id: line for line in order.lines}
    for number, units in remove.items():
        line = lines[number]
        lines[number] = line.model_copy(
            update={"removed": min(line.quantity, line.removed + units)}
        )
    for line in add:
        lines[line.id] = line.model_copy(update={"added": True})
    return order.model_copy(update={"lines": list(lines.values())})
