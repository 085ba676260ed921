"""What the vendors hold, in one SQLite file that survives a restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.sandbox.google import tables as google
from include.sandbox.mailchimp import tables as mailchimp
from include.sandbox.receiver import tables as receiver
from include.sandbox.tiktok import tables as tiktok
from include.sandbox.woocommerce import tables as woocommerce

SCHEMA = """
CREATE TABLE IF NOT EXISTS mailchimp_lists (
    list_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    double_optin INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
);

-- What a list with GDPR fields asks of a contact: e-mail, direct mail, customised advertising.
CREATE TABLE IF NOT EXISTS mailchimp_permissions (
    list_id TEXT NOT NULL,
    permission_id TEXT NOT NULL,
    PRIMARY KEY (list_id, permission_id)
);

CREATE TABLE IF NOT EXISTS mailchimp_merge_fields (
    list_id TEXT NOT NULL,
    merge_id INTEGER NOT NULL,
    tag TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    required INTEGER NOT NULL DEFAULT 0,
    default_value TEXT NOT NULL DEFAULT '',
    public INTEGER NOT NULL DEFAULT 0,
    display_order INTEGER NOT NULL,
    options TEXT NOT NULL DEFAULT '{}',
    help_text TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (list_id, merge_id)
);

-- status 'forgotten' is the scar a permanently deleted contact leaves: a hash, nothing else.
CREATE TABLE IF NOT EXISTS mailchimp_members (
    member_number INTEGER PRIMARY KEY,
    list_id TEXT NOT NULL,
    id TEXT NOT NULL,
    email_address TEXT NOT NULL,
    status TEXT NOT NULL,
    status_by TEXT NOT NULL,
    merge_fields TEXT NOT NULL,
    attributes TEXT NOT NULL,
    opted_in_at TEXT NOT NULL,
    last_changed TEXT NOT NULL,
    created INTEGER NOT NULL DEFAULT 0,
    updated INTEGER NOT NULL DEFAULT 0,
    subscribed INTEGER NOT NULL DEFAULT 0,
    resubscribed INTEGER NOT NULL DEFAULT 0,
    unsubscribed INTEGER NOT NULL DEFAULT 0,
    writes INTEGER NOT NULL DEFAULT 0
);

-- PLACES finds a contact; a file of an earlier release has an index for it.
DROP INDEX IF EXISTS mailchimp_members_by_id;

CREATE TABLE IF NOT EXISTS mailchimp_segments (
    segment_id INTEGER PRIMARY KEY,
    list_id TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    options TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    member_count INTEGER NOT NULL DEFAULT 0,
    added INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS mailchimp_segment_members (
    segment_id INTEGER NOT NULL,
    member_number INTEGER NOT NULL,
    PRIMARY KEY (segment_id, member_number)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS mailchimp_segments_by_member
ON mailchimp_segment_members (member_number);

-- member_count is the number of active subscribers, as Mailchimp has it.
-- Who tags counts by the batch; a file of an earlier release has a trigger for it.
DROP TRIGGER IF EXISTS mailchimp_tag_added;

CREATE TRIGGER IF NOT EXISTS mailchimp_tag_removed AFTER DELETE ON mailchimp_segment_members
BEGIN
    UPDATE mailchimp_segments SET
        removed = removed + 1,
        member_count = member_count - (
            SELECT status = 'subscribed' FROM mailchimp_members
            WHERE member_number = old.member_number
        )
    WHERE segment_id = old.segment_id;
END;

CREATE TRIGGER IF NOT EXISTS mailchimp_status_changed AFTER UPDATE OF status ON mailchimp_members
WHEN (old.status = 'subscribed') <> (new.status = 'subscribed')
BEGIN
    UPDATE mailchimp_segments
    SET member_count = member_count + iif(new.status = 'subscribed', 1, -1)
    WHERE segment_id IN (
        SELECT segment_id FROM mailchimp_segment_members WHERE member_number = new.member_number
    );
END;

CREATE TABLE IF NOT EXISTS meta_accounts (
    account_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    tos_accepted INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE IF NOT EXISTS meta_audiences (
    audience_id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    subtype TEXT NOT NULL,
    customer_file_source TEXT NOT NULL,
    is_value_based INTEGER NOT NULL,
    flagged_fields TEXT NOT NULL,
    operation_code INTEGER,
    minimum_size INTEGER NOT NULL DEFAULT 0,
    time_created INTEGER NOT NULL,
    time_updated INTEGER NOT NULL,
    time_content_updated INTEGER NOT NULL,
    size INTEGER NOT NULL DEFAULT 0,
    added INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0
);

-- A member is the whole tuple it was uploaded as; key_names says which keys the tuple holds, and
-- identity is their hash, by which `Truth.places` finds it.
CREATE TABLE IF NOT EXISTS meta_members (
    audience_id INTEGER NOT NULL,
    identity BLOB NOT NULL,
    key_names TEXT NOT NULL,
    key_values TEXT NOT NULL
);

DROP INDEX IF EXISTS meta_members_by_identity;

CREATE TABLE IF NOT EXISTS meta_sessions (
    account_id TEXT NOT NULL,
    session_id INTEGER NOT NULL,
    audience_id INTEGER NOT NULL,
    operation TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    num_received INTEGER NOT NULL DEFAULT 0,
    num_invalid_entries INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, session_id)
);

CREATE TABLE IF NOT EXISTS meta_batches (
    account_id TEXT NOT NULL,
    session_id INTEGER NOT NULL,
    batch_seq INTEGER NOT NULL,
    answer TEXT NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (account_id, session_id, batch_seq)
);

CREATE TABLE IF NOT EXISTS shopify_shop (
    number INTEGER PRIMARY KEY,
    settings TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS shopify_records (
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    processed_at TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX IF NOT EXISTS shopify_records_by_update ON shopify_records (kind, updated_at, id);

CREATE TABLE IF NOT EXISTS shopify_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    action TEXT NOT NULL,
    subject_type TEXT NOT NULL,
    subject_id INTEGER NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS shopify_bulk_operations (
    number INTEGER PRIMARY KEY,
    query TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    polls INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    completed_at TEXT,
    objects INTEGER NOT NULL DEFAULT 0,
    roots INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS shopify_bulk_chunks (
    number INTEGER NOT NULL,
    place INTEGER NOT NULL,
    chunk BLOB NOT NULL,
    PRIMARY KEY (number, place)
);

CREATE TABLE IF NOT EXISTS shopify_discounts (
    number INTEGER PRIMARY KEY,
    document TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS shopify_discount_codes (
    code TEXT PRIMARY KEY COLLATE NOCASE,
    discount INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS shopify_code_creations (
    number INTEGER PRIMARY KEY,
    discount INTEGER NOT NULL,
    results TEXT NOT NULL,
    polls INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER,
    bytes INTEGER NOT NULL,
    milliseconds REAL NOT NULL,
    simultaneous INTEGER NOT NULL,
    fault TEXT
);
"""

# Where a contact is, by its hash, and what a listing or a count asks of it. Hashes are random: the
# pages of the file that a batch would touch cost more than all else it does. So this much is kept
# in memory alone, and made anew with each start. Who inserts a contact inserts its place: with a
# trigger for that, each row of a batch would be journaled by itself.
PLACES = """
CREATE TEMP TABLE IF NOT EXISTS mailchimp_places (
    list_id TEXT NOT NULL,
    id TEXT NOT NULL,
    member_number INTEGER NOT NULL,
    status TEXT NOT NULL,
    last_changed TEXT NOT NULL,
    PRIMARY KEY (list_id, id)
) WITHOUT ROWID;

DELETE FROM mailchimp_places;

INSERT INTO mailchimp_places
SELECT list_id, id, member_number, status, last_changed FROM mailchimp_members;

CREATE TEMP TRIGGER IF NOT EXISTS mailchimp_member_changed
AFTER UPDATE OF id, status, last_changed ON mailchimp_members
BEGIN
    UPDATE mailchimp_places
    SET id = new.id, status = new.status, last_changed = new.last_changed
    WHERE list_id = old.list_id AND id = old.id;
END;
"""

PLACES_OF = {
    "meta": "SELECT identity, rowid FROM meta_members WHERE audience_id = ?",
    "google": "SELECT identity, rowid FROM google_people WHERE list_id = ?",
    "tiktok": """
        SELECT hash, rowid FROM tiktok_people WHERE audience_id = ? AND calculate_type = ?
    """,
}

TABLES = (
    "mailchimp_lists",
    "mailchimp_permissions",
    "mailchimp_merge_fields",
    "mailchimp_members",
    "mailchimp_segments",
    "mailchimp_segment_members",
    "meta_accounts",
    "meta_audiences",
    "meta_members",
    "meta_sessions",
    "meta_batches",
    "shopify_shop",
    "shopify_records",
    "shopify_events",
    "shopify_bulk_operations",
    "shopify_bulk_chunks",
    "shopify_discounts",
    "shopify_discount_codes",
    "shopify_code_creations",
    "calls",
    *woocommerce.TABLES,
    *receiver.TABLES,
    *google.TABLES,
    *tiktok.TABLES,
    *mailchimp.TABLES,
)

# What the file of an earlier release lacks: a number that is 1 at first.
LATER_COLUMNS = (("meta_batches", "deliveries"), ("woocommerce_shop", "lists_refunds"))

NEW_LIST_FIELDS = (
    ("FNAME", "First Name", "text"),
    ("LNAME", "Last Name", "text"),
    ("ADDRESS", "Address", "address"),
    ("PHONE", "Phone Number", "phone"),
    ("BIRTHDAY", "Birthday", "birthday"),
)


def now() -> str:
    """The present instant as Mailchimp writes it: ISO 8601, whole seconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Truth:
    """The SQLite file and what is asked of it across vendors.

    One connection, used by the event loop's thread only: a handler never awaits inside a
    transaction, so requests cannot interleave.
    """

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, check_same_thread=False)
        self.connection.row_factory = sqlite3.Row
        self.connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;"
            # What is deleted is overwritten: an erased contact must not stay in the file.
            "PRAGMA secure_delete = ON;"
            "PRAGMA cache_size = -262144; PRAGMA wal_autocheckpoint = 100000;"
        )
        # Rows of the call log: a call that only reads is no change of what the vendors hold.
        self._logged = 0
        self._remembered: dict[tuple[Any, ...], list[sqlite3.Row]] = {}
        self._remembered_at = -1
        self._places: dict[tuple[Any, ...], dict[Any, int]] = {}
        self._create()

    def _create(self) -> None:
        self._places.clear()
        self.connection.executescript(
            SCHEMA
            + woocommerce.SCHEMA
            + receiver.SCHEMA
            + google.SCHEMA
            + tiktok.SCHEMA
            + mailchimp.SCHEMA
            + PLACES
        )
        google.bring_over(self.connection)
        tiktok.bring_over(self.connection)
        for table, column in LATER_COLUMNS:
            if not self.one("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)):
                self.connection.execute(
                    f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 1"
                )
        if not self.one("SELECT 1 FROM mailchimp_lists"):
            with self.connection:
                self.create_list("regulars", "Regulars")
                self.connection.execute(
                    "INSERT INTO meta_accounts (account_id, name) VALUES ('1000', 'Regulars')"
                )

    def create_list(self, list_id: str, name: str) -> None:
        """A list as Mailchimp makes it: five merge fields, single opt-in, nobody on it."""
        self.connection.execute(
            "INSERT INTO mailchimp_lists (list_id, name, created_at) VALUES (?, ?, ?)",
            (list_id, name, now()),
        )
        self.connection.executemany(
            """
            INSERT INTO mailchimp_merge_fields (list_id, merge_id, tag, name, type, display_order)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            [
                (list_id, number, tag, title, kind, number + 1)
                for number, (tag, title, kind) in enumerate(NEW_LIST_FIELDS, 1)
            ],
        )

    def reset(self) -> None:
        """Back to the first day: one empty list, one empty ad account, no calls."""
        self.connection.executescript("".join(f"DROP TABLE IF EXISTS {table};" for table in TABLES))
        self._create()

    def places(self, vendor: str, *audience: int | str) -> dict[Any, int]:
        """The numbers of an ad audience's members by their identities, as PLACES_OF asks for them.

        In memory for the reason that PLACES gives. Whoever adds or removes members keeps it.
        """
        key = (vendor, *audience)
        if key not in self._places:
            rows = self.connection.execute(PLACES_OF[vendor], audience)
            self._places[key] = dict(map(tuple, rows))
        return self._places[key]

    def forget_places(self) -> None:
        """Members have changed behind `places`."""
        self._places.clear()

    def one(self, query: str, parameters: Any = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        row: sqlite3.Row | None = self.connection.execute(query, parameters).fetchone()
        return row

    def all(self, query: str, parameters: Any = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self.connection.execute(query, parameters).fetchall()

    def remembered(self, query: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All rows, kept until something is written: a client that pages asks for them again."""
        changes = self.connection.total_changes - self._logged
        if self._remembered_at != changes:
            self._remembered.clear()
            self._remembered_at = changes
        key = (query, *parameters)
        if key not in self._remembered:
            self._remembered[key] = self.all(query, parameters)
        return self._remembered[key]

    def count(self, query: str, parameters: tuple[Any, ...] = ()) -> int:
        """The one number a query gives, remembered likewise."""
        number: int = self.remembered(query, parameters)[0][0]
        return number

    def everything(self) -> dict[str, Any]:
        """All that the vendors hold, with the effects each member and audience has felt."""
        return {
            "mailchimp": self._mailchimp(),
            "meta": self._meta(),
            "shopify": self._shopify(),
            "google": google.holdings(self.connection),
            "tiktok": tiktok.holdings(self.connection),
            "receiver": receiver.holdings(self.connection),
        }

    def _mailchimp(self) -> dict[str, Any]:
        tags: dict[int, list[str]] = {}
        tagged: dict[int, list[str]] = {}
        for row in self.all(
            """
            SELECT tags.segment_id, segments.name, tags.member_number, members.id
            FROM mailchimp_segment_members AS tags
            INNER JOIN mailchimp_segments AS segments USING (segment_id)
            INNER JOIN mailchimp_members AS members USING (member_number)
            ORDER BY segments.name, members.id
            """
        ):
            tags.setdefault(row["member_number"], []).append(row["name"])
            tagged.setdefault(row["segment_id"], []).append(row["id"])

        lists: dict[str, Any] = {}
        for row in self.all("SELECT * FROM mailchimp_lists"):
            lists[row["list_id"]] = {
                "name": row["name"],
                "double_optin": bool(row["double_optin"]),
                "members": {},
                "forgotten": {},
                "segments": {},
            }
        for row in self.all("SELECT * FROM mailchimp_members ORDER BY id"):
            effects = {name: row[name] for name in EFFECTS}
            if row["status"] == "forgotten":
                lists[row["list_id"]]["forgotten"][row["id"]] = effects
                continue
            lists[row["list_id"]]["members"][row["id"]] = {
                "email_address": row["email_address"],
                "status": row["status"],
                "status_by": row["status_by"],
                "merge_fields": json.loads(row["merge_fields"]),
                "marketing_permissions": json.loads(row["attributes"]).get(
                    "marketing_permissions", []
                ),
                "tags": tags.get(row["member_number"], []),
                "last_changed": row["last_changed"],
                **effects,
            }
        for row in self.all("SELECT * FROM mailchimp_segments ORDER BY segment_id"):
            lists[row["list_id"]]["segments"][str(row["segment_id"])] = {
                "name": row["name"],
                "type": row["type"],
                "member_count": row["member_count"],
                "members": tagged.get(row["segment_id"], []),
                "added": row["added"],
                "removed": row["removed"],
            }
        return {
            "lists": lists,
            "stores": mailchimp.stores(self.connection),
            "journeys": mailchimp.journeys(self.connection),
        }

    def _meta(self) -> dict[str, Any]:
        members: dict[int, list[dict[str, str]]] = {}
        for row in self.all(
            "SELECT audience_id, key_names, key_values FROM meta_members ORDER BY key_values"
        ):
            members.setdefault(row["audience_id"], []).append(
                dict(zip(row["key_names"].split(","), row["key_values"].split("|"), strict=True))
            )
        audiences = {
            str(row["audience_id"]): {
                "account_id": row["account_id"],
                "name": row["name"],
                "subtype": row["subtype"],
                "is_value_based": bool(row["is_value_based"]),
                "members": members.get(row["audience_id"], []),
                "size": row["size"],
                "added": row["added"],
                "removed": row["removed"],
            }
            for row in self.all("SELECT * FROM meta_audiences ORDER BY audience_id")
        }
        accounts = {
            f"act_{row['account_id']}": {"tos_accepted": bool(row["tos_accepted"])}
            for row in self.all("SELECT * FROM meta_accounts")
        }
        batches = {
            f"{row['session_id']}/{row['batch_seq']}": row["deliveries"]
            for row in self.all("SELECT session_id, batch_seq, deliveries FROM meta_batches")
        }
        return {"accounts": accounts, "audiences": audiences, "batches": batches}

    def _shopify(self) -> dict[str, Any]:
        records: dict[str, dict[str, Any]] = {"orders": {}, "customers": {}, "products": {}}
        for row in self.all("SELECT * FROM shopify_records ORDER BY kind, id"):
            document = json.loads(row["document"]) | {"updated_at": row["updated_at"]}
            records[f"{row['kind'].lower()}s"][str(row["id"])] = document
        deletions = [dict(row) for row in self.all("SELECT * FROM shopify_events ORDER BY id")]
        discounts = {
            str(row["number"]): json.loads(row["document"]) | {"codes": json.loads(row["codes"])}
            for row in self.all(
                """
                SELECT number, document, json_group_array(code) AS codes
                FROM shopify_discounts
                INNER JOIN shopify_discount_codes ON number = discount
                GROUP BY number
                """
            )
        }
        return {**records, "deletions": deletions, "discounts": discounts}

    def shopify_counts(self) -> dict[str, int]:
        """How many records of each kind the shop has, and how many were deleted."""
        counted = self.remembered(
            "SELECT kind, count(*) AS records FROM shopify_records GROUP BY kind"
        )
        found = {row["kind"]: row["records"] for row in counted}
        return {
            "orders": found.get("Order", 0),
            "customers": found.get("Customer", 0),
            "products": found.get("Product", 0),
            "deletions": self.count("SELECT count(*) FROM shopify_events"),
        }

    def summary(self) -> dict[str, Any]:
        """Counts only: members by status, effects, tag and audience sizes, calls."""
        lists = {
            row["list_id"]: {
                "members": self.statuses(row["list_id"]),
                "effects": dict(
                    self.one(
                        """
                        SELECT
                            coalesce(sum(created), 0) AS created,
                            coalesce(sum(updated), 0) AS updated,
                            coalesce(sum(subscribed), 0) AS subscribed,
                            coalesce(sum(resubscribed), 0) AS resubscribed,
                            coalesce(sum(unsubscribed), 0) AS unsubscribed,
                            coalesce(sum(writes), 0) AS writes
                        FROM mailchimp_members WHERE list_id = ?
                        """,
                        (row["list_id"],),
                    )
                    or {}
                ),
                "segments": {
                    segment["name"]: {
                        "member_count": segment["member_count"],
                        "added": segment["added"],
                        "removed": segment["removed"],
                    }
                    for segment in self.all(
                        "SELECT * FROM mailchimp_segments WHERE list_id = ?", (row["list_id"],)
                    )
                },
            }
            for row in self.all("SELECT list_id FROM mailchimp_lists")
        }
        audiences = {
            str(row["audience_id"]): {
                "name": row["name"],
                "size": row["size"],
                "added": row["added"],
                "removed": row["removed"],
            }
            for row in self.all("SELECT * FROM meta_audiences")
        }
        return {
            "mailchimp": {"lists": lists},
            "meta": {"audiences": audiences},
            "shopify": self.shopify_counts(),
            "calls": self.count("SELECT count(*) FROM calls"),
        }

    def statuses(self, list_id: str) -> dict[str, int]:
        """How many contacts of a list are in each status, the forgotten ones left out."""
        rows = self.remembered(
            """
            SELECT status, count(*) AS members FROM mailchimp_places
            WHERE list_id = ? GROUP BY status
            """,
            (list_id,),
        )
        counted = {row["status"]: row["members"] for row in rows}
        return {status: counted.get(status, 0) for status in STATUSES}

    def record_call(self, call: Iterable[Any]) -> None:
        """Append to the call log."""
        with self.connection:
            self.connection.execute(
                """
                INSERT INTO calls (
                    at, method, path, status, bytes, milliseconds, simultaneous, fault
                ) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """,
                tuple(call),
            )
        self._logged += 1

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """The call log after `since`, oldest first."""
        return [dict(row) for row in self.all("SELECT * FROM calls WHERE seq > ?", (since,))]


EFFECTS = ("created", "updated", "subscribed", "resubscribed", "unsubscribed", "writes")
STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived")
