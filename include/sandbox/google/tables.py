"""What Google holds, in the sandbox's one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS google_settings (
    has_signed_terms INTEGER NOT NULL DEFAULT 0,
    processing_seconds REAL NOT NULL DEFAULT 0
);

INSERT INTO google_settings (processing_seconds)
SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM google_settings);

CREATE TABLE IF NOT EXISTS google_lists (
    list_id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    document TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0,
    added INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS google_members (
    list_id INTEGER NOT NULL,
    identifiers TEXT NOT NULL,
    PRIMARY KEY (list_id, identifiers)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS google_requests (
    request_id TEXT PRIMARY KEY,
    list_id INTEGER NOT NULL,
    operation TEXT NOT NULL,
    received INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    received_at REAL NOT NULL
);
"""

TABLES = ("google_settings", "google_lists", "google_members", "google_requests")


def holdings(connection: sqlite3.Connection) -> dict[str, Any]:
    """All that Google holds; a member is the list of its identifiers."""
    lists: dict[int, Any] = {
        row["list_id"]: {
            "account_id": row["account_id"],
            "name": row["display_name"],
            "members": [],
            "size": row["size"],
            "added": row["added"],
            "removed": row["removed"],
        }
        for row in connection.execute("SELECT * FROM google_lists ORDER BY list_id")
    }
    for row in connection.execute("SELECT * FROM google_members ORDER BY list_id, identifiers"):
        lists[row["list_id"]]["members"].append(json.loads(row["identifiers"]))
    return {"lists": {str(list_id): held for list_id, held in lists.items()}}
