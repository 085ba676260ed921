"""What the receiver keeps, in the sandbox's one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS receiver_audiences (
    audience TEXT PRIMARY KEY,
    fields TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0,
    called_at REAL
);

CREATE TABLE IF NOT EXISTS receiver_members (
    audience TEXT NOT NULL,
    identity TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (audience, identity)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS receiver_calls (
    idempotency_key TEXT PRIMARY KEY,
    answer TEXT NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1
);
"""

TABLES = ("receiver_audiences", "receiver_members", "receiver_calls")


def holdings(connection: sqlite3.Connection) -> dict[str, Any]:
    """All that the receiver holds."""
    audiences: dict[str, Any] = {
        row["audience"]: {
            "fields": json.loads(row["fields"]),
            "members": {},
            "size": row["size"],
            "calls": row["calls"],
        }
        for row in connection.execute("SELECT * FROM receiver_audiences ORDER BY audience")
    }
    for row in connection.execute("SELECT * FROM receiver_members ORDER BY identity"):
        audiences[row["audience"]]["members"][row["identity"]] = json.loads(row["document"])
    calls = connection.execute("SELECT idempotency_key, deliveries FROM receiver_calls")
    return {"audiences": audiences, "deliveries": {key: times for key, times in calls}}
