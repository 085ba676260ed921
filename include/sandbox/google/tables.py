"""What Google holds, in the sandbox's one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from hashlib import blake2b
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

-- identity is the hash of the identifiers, by which `Truth.places` finds a member.
CREATE TABLE IF NOT EXISTS google_people (
    list_id INTEGER NOT NULL,
    identity BLOB NOT NULL,
    identifiers TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS google_requests (
    request_id TEXT PRIMARY KEY,
    list_id INTEGER NOT NULL,
    operation TEXT NOT NULL,
    received INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    received_at REAL NOT NULL
);
"""

TABLES = ("google_settings", "google_lists", "google_people", "google_requests")


def identity(identifiers: str) -> bytes:
    """By what a member is found."""
    return blake2b(identifiers.encode(), digest_size=16).digest()


def bring_over(connection: sqlite3.Connection) -> None:
    """Take the members over from where the file of an earlier release has them."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'google_members'").fetchone():
        rows = connection.execute("SELECT list_id, identifiers FROM google_members").fetchall()
        with connection:
            connection.executemany(
                "INSERT INTO google_people VALUES (?, ?, ?)",
                [(list_id, identity(identifiers), identifiers) for list_id, identifiers in rows],
            )
            connection.execute("DROP TABLE google_members")


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
    for row in connection.execute("SELECT * FROM google_people ORDER BY list_id, identifiers"):
        lists[row["list_id"]]["members"].append(json.loads(row["identifiers"]))
    return {"lists": {str(list_id): held for list_id, held in lists.items()}}
