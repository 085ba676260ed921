"""What TikTok holds, in the sandbox's one SQLite file."""

from __future__ import annotations

import sqlite3
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS tiktok_settings (
    matching_seconds REAL NOT NULL DEFAULT 0
);

INSERT INTO tiktok_settings (matching_seconds)
SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM tiktok_settings);

CREATE TABLE IF NOT EXISTS tiktok_files (
    file_path TEXT PRIMARY KEY,
    advertiser_id TEXT NOT NULL,
    calculate_type TEXT NOT NULL,
    content BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS tiktok_audiences (
    audience_id INTEGER PRIMARY KEY,
    advertiser_id TEXT NOT NULL,
    name TEXT NOT NULL,
    calculate_type TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0,
    files INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL
);

-- `Truth.places` finds a member by its kind and hash.
CREATE TABLE IF NOT EXISTS tiktok_people (
    audience_id INTEGER NOT NULL,
    calculate_type TEXT NOT NULL,
    hash TEXT NOT NULL
);
"""

TABLES = ("tiktok_settings", "tiktok_files", "tiktok_audiences", "tiktok_people")


def bring_over(connection: sqlite3.Connection) -> None:
    """Take the members over from where the file of an earlier release has them."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'tiktok_members'").fetchone():
        with connection:
            connection.execute("INSERT INTO tiktok_people SELECT * FROM tiktok_members")
            connection.execute("DROP TABLE tiktok_members")


def holdings(connection: sqlite3.Connection) -> dict[str, Any]:
    """All that TikTok holds; hashes by their kind."""
    audiences: dict[int, Any] = {
        row["audience_id"]: {
            "advertiser_id": row["advertiser_id"],
            "name": row["name"],
            "members": {},
            "size": row["size"],
            "files": row["files"],
        }
        for row in connection.execute("SELECT * FROM tiktok_audiences ORDER BY audience_id")
    }
    for row in connection.execute(
        "SELECT * FROM tiktok_people ORDER BY audience_id, calculate_type, hash"
    ):
        members = audiences[row["audience_id"]]["members"]
        members.setdefault(row["calculate_type"], []).append(row["hash"])
    return {"audiences": {str(number): held for number, held in audiences.items()}}
