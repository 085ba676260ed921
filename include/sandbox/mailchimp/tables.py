"""What Mailchimp's stores and batches hold, in the sandbox's one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS mailchimp_stores (
    store_id TEXT PRIMARY KEY,
    list_id TEXT NOT NULL,
    name TEXT NOT NULL,
    currency_code TEXT NOT NULL,
    is_syncing INTEGER NOT NULL
);

-- kind: products, customers, orders, promo-rules or promo-codes (whose parent is a rule).
CREATE TABLE IF NOT EXISTS mailchimp_store_records (
    store_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    parent_id TEXT NOT NULL DEFAULT '',
    document TEXT NOT NULL,
    created INTEGER NOT NULL DEFAULT 1,
    updated INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (store_id, kind, id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS mailchimp_batches (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    operations TEXT NOT NULL,
    answers TEXT NOT NULL DEFAULT '[]',
    submitted_at TEXT NOT NULL,
    completed_at TEXT NOT NULL DEFAULT ''
);

CREATE TABLE IF NOT EXISTS mailchimp_batch_settings (
    stays_pending INTEGER NOT NULL DEFAULT 0,
    link_seconds REAL NOT NULL DEFAULT 600
);

INSERT INTO mailchimp_batch_settings (stays_pending)
SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM mailchimp_batch_settings);

CREATE TABLE IF NOT EXISTS mailchimp_journey_triggers (
    journey_id TEXT NOT NULL,
    step_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (journey_id, step_id, member_id)
);
"""

TABLES = (
    "mailchimp_stores",
    "mailchimp_store_records",
    "mailchimp_batches",
    "mailchimp_batch_settings",
    "mailchimp_journey_triggers",
)


def stores(connection: sqlite3.Connection) -> dict[str, Any]:
    """All that the stores hold, by kind and id, with how often each was written."""
    found: dict[str, Any] = {
        row["store_id"]: {
            "list_id": row["list_id"],
            "currency_code": row["currency_code"],
            "is_syncing": bool(row["is_syncing"]),
        }
        for row in connection.execute("SELECT * FROM mailchimp_stores")
    }
    for row in connection.execute("SELECT * FROM mailchimp_store_records ORDER BY kind, id"):
        records = found[row["store_id"]].setdefault(row["kind"], {})
        records[row["id"]] = json.loads(row["document"]) | {
            "_created": row["created"],
            "_updated": row["updated"],
        }
    return found


def journeys(connection: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """How often each contact was sent into a step of a journey, by `journey/step`."""
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute("SELECT * FROM mailchimp_journey_triggers"):
        step = found.setdefault(f"{row['journey_id']}/{row['step_id']}", {})
        step[row["member_id"]] = row["times"]
    return found
