"""Contacts and their tags, and the rules by which Mailchimp takes or refuses a change to them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from hashlib import md5
from typing import Any, NamedTuple

from include.sandbox.answers import Refusal, dump
from include.sandbox.mailchimp.merge_fields import MergeFields, Refused
from include.sandbox.mailchimp.problems import Problem, problem
from include.sandbox.truth import STATUSES, Truth, now

SETTABLE = frozenset(STATUSES) - {"archived"}
EMAIL = re.compile(
    r"[^@\s\"(),:;<>\[\]\\]{1,64}@([a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}", re.IGNORECASE
)
ATTRIBUTES = frozenset(
    [
        "email_type",
        "interests",
        "ip_opt",
        "ip_signup",
        "language",
        "location",
        "marketing_permissions",
        "timestamp_signup",
        "vip",
    ]
)
BAD_MERGE_FIELDS = "Your merge fields were invalid."
# Whoever set these, Mailchimp lets only the person undo them.
COMPLIANCE = frozenset({"user", "bounce", "complaint"})


class RowRefused(Exception):
    """One contact is refused: Mailchimp's title and words."""

    def __init__(self, title: str, detail: str, field: str = "", field_message: str = "") -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.field = field
        self.field_message = field_message

    def problem(self) -> Problem:
        """The answer where the contact was the whole request."""
        errors = [(self.field, self.field_message)] if self.field else []
        return problem("InvalidResource", self.detail, self.title, errors)


class Contact(NamedTuple):
    """A contact as it will be after a write; `row` is what was there before, if anything."""

    row: sqlite3.Row | None
    id: str
    email_address: str
    status: str
    status_by: str
    merge_fields: str
    attributes: str


def subscriber_hash(email: str) -> str:
    """Mailchimp's id of an address: the MD5 of its lower case."""
    return md5(email.lower().encode(), usedforsecurity=False).hexdigest()


def check_address(email: Any) -> str:
    """The address, trimmed; raises `RowRefused` for one Mailchimp does not take."""
    text = email.strip() if isinstance(email, str) else ""
    if not text:
        raise RowRefused(
            "Invalid Resource", "Please provide a valid email address.", "email_address", "Blank"
        )
    if len(text) > 254 or not EMAIL.fullmatch(text) or text.lower().endswith("@example.com"):
        raise RowRefused(
            "Invalid Resource",
            f"{text} looks fake or invalid, please enter a real email address.",
        )
    return text


def settle_status(row: sqlite3.Row | None, email: str, wanted: str | None) -> tuple[str, str]:
    """The status after a write by the API, and who is answerable for it.

    Raises `RowRefused` where Mailchimp protects the person: a contact who unsubscribed, bounced or
    complained cannot be subscribed by anyone else ("pending" asks the one who unsubscribed), and a
    forgotten one cannot come back at all. One unsubscribed by the API or an admin can.
    """
    if row is not None and row["status"] == "forgotten":
        raise RowRefused(
            "Forgotten Email Not Subscribed",
            f"{email} was permanently deleted and cannot be re-imported. "
            "The contact must re-subscribe to get back on the list.",
        )
    if wanted is not None and wanted not in SETTABLE:
        raise RowRefused(
            "Invalid Resource", "The status is not one of the choices.", "status", "Invalid status"
        )
    if row is None:
        if wanted is None:
            # A guess at the words; that such a row fails is known from issue threads.
            raise RowRefused(
                "Invalid Resource",
                "A new contact needs a status.",
                "status",
                "Please enter a value",
            )
        return wanted, "api"
    before, by = row["status"], row["status_by"]
    if wanted is None or wanted == before:
        return before, by
    protected = before == "cleaned" or (by in COMPLIANCE and before != "subscribed")
    asks_again = wanted == "pending" and by == "user"
    if protected and wanted in ("subscribed", "pending", "transactional") and not asks_again:
        raise RowRefused(
            "Member In Compliance State",
            f"{email} is in a compliance state due to unsubscribe, bounce, or compliance review "
            "and cannot be subscribed.",
        )
    return wanted, by if protected else "api"


def status_effects(before: str, after: str) -> tuple[int, int, int]:
    """What a change of status counts as: subscribed, resubscribed, unsubscribed."""
    if before == after:
        return 0, 0, 0
    if after == "subscribed":
        return 1, int(before in ("unsubscribed", "cleaned")), 0
    return 0, 0, int(after in ("unsubscribed", "cleaned"))


class Lists:
    """The lists' contacts and tags in the truth store."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def require(self, list_id: str) -> sqlite3.Row:
        """A list; raises 404."""
        row = self.truth.one("SELECT * FROM mailchimp_lists WHERE list_id = ?", (list_id,))
        if row is None:
            raise Refusal(problem("ResourceNotFound"))
        return row

    def fields(self, list_id: str) -> MergeFields:
        """The merge fields of a list."""
        return MergeFields(
            self.truth.all(
                """
                SELECT tag, type, default_value, required, options FROM mailchimp_merge_fields
                WHERE list_id = ? ORDER BY display_order
                """,
                (list_id,),
            )
        )

    def find(self, list_id: str, ids: Iterable[str]) -> dict[str, sqlite3.Row]:
        """The contacts with these ids, forgotten ones too."""
        rows = self.truth.all(
            """
            SELECT members.* FROM json_each(?) AS wanted
            CROSS JOIN mailchimp_places AS places
                ON places.list_id = ? AND places.id = wanted.value
            CROSS JOIN mailchimp_members AS members USING (member_number)
            """,
            (json.dumps(list(ids)), list_id),
        )
        return {row["id"]: row for row in rows}

    def reachable(self, list_id: str, ids: Iterable[str]) -> dict[str, sqlite3.Row]:
        """Who of these ids is on the list, archived ones not; only what an answer shows of them."""
        rows = self.truth.all(
            """
            SELECT
                members.member_number, members.list_id, members.id, members.email_address,
                members.status
            FROM json_each(?) AS wanted
            CROSS JOIN mailchimp_places AS places
                ON places.list_id = ? AND places.id = wanted.value
            CROSS JOIN mailchimp_members AS members USING (member_number)
            WHERE places.status NOT IN ('archived', 'forgotten')
            """,
            (json.dumps(list(ids)), list_id),
        )
        return {row["id"]: row for row in rows}

    def permissions(self, list_id: str) -> list[str]:
        """The ids of the marketing permissions that a list asks for; none without GDPR fields."""
        rows = self.truth.all(
            "SELECT permission_id FROM mailchimp_permissions WHERE list_id = ?", (list_id,)
        )
        return [row["permission_id"] for row in rows]

    def member(self, list_id: str, subscriber: str) -> sqlite3.Row | None:
        """A contact by hash or address; None if never seen or forgotten."""
        member_id = subscriber_hash(subscriber) if "@" in subscriber else subscriber.lower()
        row = self.find(list_id, [member_id]).get(member_id)
        return None if row is None or row["status"] == "forgotten" else row

    def require_member(self, list_id: str, subscriber: str) -> sqlite3.Row:
        """A contact; raises 404, also for a forgotten one."""
        self.require(list_id)
        row = self.member(list_id, subscriber)
        if row is None:
            raise Refusal(problem("ResourceNotFound"))
        return row

    def prepare(
        self,
        row: sqlite3.Row | None,
        member_id: str,
        email: str,
        given: Mapping[str, Any],
        wanted: str | None,
        fields: MergeFields,
        skip_merge_validation: bool = False,
    ) -> Contact:
        """What a write makes of a contact; raises `RowRefused`."""
        status, status_by = settle_status(row, email, wanted)
        values = given.get("merge_fields") or {}
        if not isinstance(values, dict):
            raise RowRefused(
                "Invalid Resource",
                "Your merge fields were invalid.",
                "merge_fields",
                "Not an object",
            )
        merge_fields = row["merge_fields"] if row is not None else "{}"
        if values or row is None:
            held = {} if row is None else json.loads(merge_fields)
            try:
                merged = fields.merge(held, values, insist=not skip_merge_validation)
            except Refused as refused:
                raise RowRefused(
                    "Invalid Resource", BAD_MERGE_FIELDS, refused.field, refused.message
                ) from None
            if merged != held:
                merge_fields = dump(merged).decode()
        attributes = row["attributes"] if row is not None else "{}"
        if not ATTRIBUTES.isdisjoint(given):
            news = {name: given[name] for name in ATTRIBUTES & given.keys()}
            told = news if row is None else json.loads(attributes) | news
            attributes = dump(told, sort_keys=True).decode()
        return Contact(row, member_id, email, status, status_by, merge_fields, attributes)

    def write(self, list_id: str, contacts: Iterable[Contact]) -> None:
        """Insert and update contacts, counting only what really changes as an update."""
        instant = now()
        [(number,)] = self.truth.connection.execute(
            "SELECT coalesce(max(member_number), 0) FROM mailchimp_members"
        )
        inserts, places, updates, untouched = [], [], [], []
        for row, member_id, email, status, status_by, merge_fields, attributes in contacts:
            held = (email, status, status_by, merge_fields, attributes)
            if row is None:
                subscribed, _, unsubscribed = status_effects("", status)
                opted_in_at = instant if subscribed else ""
                number += 1
                inserts.append(
                    (
                        number,
                        list_id,
                        member_id,
                        *held,
                        opted_in_at,
                        instant,
                        subscribed,
                        unsubscribed,
                    )
                )
                places.append((list_id, member_id, number, status, instant))
                continue
            if held == row[3:8]:
                untouched.append((row["member_number"],))
                continue
            effects = status_effects(row["status"], status)
            opted_in_at = instant if effects[0] else row["opted_in_at"]
            updates.append((member_id, *held, opted_in_at, instant, *effects, row["member_number"]))
        self.truth.connection.executemany(
            """
            INSERT INTO mailchimp_members (
                member_number, list_id, id, email_address, status, status_by, merge_fields,
                attributes, opted_in_at, last_changed, subscribed, unsubscribed, created, writes
            ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)
            """,
            inserts,
        )
        self.truth.connection.executemany(
            "INSERT INTO mailchimp_places VALUES (?, ?, ?, ?, ?)", places
        )
        self.truth.connection.executemany(
            """
            UPDATE mailchimp_members SET
                id = ?,
                email_address = ?,
                status = ?,
                status_by = ?,
                merge_fields = ?,
                attributes = ?,
                opted_in_at = ?,
                last_changed = ?,
                updated = updated + 1,
                subscribed = subscribed + ?,
                resubscribed = resubscribed + ?,
                unsubscribed = unsubscribed + ?,
                writes = writes + 1
            WHERE member_number = ?
            """,
            updates,
        )
        self.truth.connection.executemany(
            "UPDATE mailchimp_members SET writes = writes + 1 WHERE member_number = ?", untouched
        )

    def set_status(self, row: sqlite3.Row, status: str, by: str) -> None:
        """A change of status that no rule stands against."""
        self.truth.connection.execute(
            """
            UPDATE mailchimp_members SET
                status = ?, status_by = ?, last_changed = ?,
                subscribed = subscribed + ?, resubscribed = resubscribed + ?,
                unsubscribed = unsubscribed + ?
            WHERE member_number = ?
            """,
            (
                status,
                by,
                now(),
                *status_effects(row["status"], status),
                row["member_number"],
            ),
        )

    def forget(self, row: sqlite3.Row) -> None:
        """Erase a contact; only the hash stays, so that it cannot be re-imported."""
        connection = self.truth.connection
        connection.execute(
            "DELETE FROM mailchimp_segment_members WHERE member_number = ?", (row["member_number"],)
        )
        connection.execute(
            "DELETE FROM mailchimp_journey_triggers WHERE member_id = ?", (row["id"],)
        )
        connection.execute(
            """
            UPDATE mailchimp_members SET
                status = 'forgotten', status_by = '', email_address = '', merge_fields = '{}',
                attributes = '{}'
            WHERE member_number = ?
            """,
            (row["member_number"],),
        )

    def tags(self, member_numbers: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
        """The tags of contacts, by member number."""
        found: dict[int, list[dict[str, Any]]] = {}
        for row in self.truth.all(
            """
            SELECT tags.member_number, segments.segment_id AS id, segments.name
            FROM json_each(?) AS wanted
            CROSS JOIN mailchimp_segment_members AS tags ON tags.member_number = wanted.value
            INNER JOIN mailchimp_segments AS segments USING (segment_id)
            ORDER BY segments.segment_id
            """,
            (json.dumps(list(member_numbers)),),
        ):
            tag = {"id": row["id"], "name": row["name"]}
            found.setdefault(row["member_number"], []).append(tag)
        return found

    def tag_id(self, list_id: str, name: str) -> int:
        """The static segment that is this tag, made if it is new."""
        row = self.truth.one(
            """
            SELECT segment_id FROM mailchimp_segments
            WHERE list_id = ? AND type = 'static' AND lower(name) = lower(?)
            """,
            (list_id, name),
        )
        return row["segment_id"] if row else self.create_segment(list_id, name, "static", "{}")

    def create_segment(self, list_id: str, name: str, kind: str, options: str) -> int:
        """A new segment's id."""
        instant = now()
        cursor = self.truth.connection.execute(
            """
            INSERT INTO mailchimp_segments (list_id, name, type, options, created_at, updated_at)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            (list_id, name, kind, options, instant, instant),
        )
        return cursor.lastrowid or 0

    def tag(self, segment_id: int, rows: Iterable[sqlite3.Row]) -> list[sqlite3.Row]:
        """Make sure contacts carry a tag; returns those that did not before."""
        rows = list(rows)
        carriers = self._carriers(segment_id, rows)
        new = [row for row in rows if row["member_number"] not in carriers]
        self.truth.connection.executemany(
            "INSERT INTO mailchimp_segment_members VALUES (?, ?)",
            [(segment_id, row["member_number"]) for row in new],
        )
        self.truth.connection.execute(
            """
            UPDATE mailchimp_segments SET added = added + ?, member_count = member_count + ?
            WHERE segment_id = ?
            """,
            (len(new), sum(row["status"] == "subscribed" for row in new), segment_id),
        )
        return new

    def untag(self, segment_id: int, rows: Iterable[sqlite3.Row]) -> list[sqlite3.Row]:
        """Make sure contacts do not carry a tag; returns those that did before."""
        rows = list(rows)
        carriers = self._carriers(segment_id, rows)
        gone = [row for row in rows if row["member_number"] in carriers]
        self.truth.connection.executemany(
            "DELETE FROM mailchimp_segment_members WHERE segment_id = ? AND member_number = ?",
            [(segment_id, row["member_number"]) for row in gone],
        )
        return gone

    def _carriers(self, segment_id: int, rows: list[sqlite3.Row]) -> set[int]:
        numbers = json.dumps([row["member_number"] for row in rows])
        carriers = self.truth.all(
            """
            SELECT tags.member_number FROM json_each(?) AS wanted
            CROSS JOIN mailchimp_segment_members AS tags
                ON tags.segment_id = ? AND tags.member_number = wanted.value
            """,
            (numbers, segment_id),
        )
        return {row["member_number"] for row in carriers}

    def set_tags(self, list_id: str, wanted: Mapping[str, list[str]], replace: bool) -> None:
        """Give contacts (by id) tags (by name); `replace` takes away their other ones."""
        rows = self.find(list_id, wanted)
        for name in sorted({name for names in wanted.values() for name in names}):
            self.tag(self.tag_id(list_id, name), [rows[key] for key in rows if name in wanted[key]])
        if not replace:
            return
        held = self.tags(row["member_number"] for row in rows.values())
        for member_id, row in rows.items():
            for tag in held.get(row["member_number"], []):
                if tag["name"] not in wanted[member_id]:
                    self.untag(tag["id"], [row])

    def require_segment(self, list_id: str, segment_id: str) -> sqlite3.Row:
        """A segment of a list; raises 404."""
        self.require(list_id)
        row = self.truth.one(
            "SELECT * FROM mailchimp_segments WHERE list_id = ? AND segment_id = ?",
            (list_id, segment_id),
        )
        if row is None:
            raise Refusal(problem("ResourceNotFound"))
        return row

    def listing(
        self, list_id: str, status: str | None, since: str, count: int, offset: int
    ) -> tuple[list[sqlite3.Row], int]:
        """A page of contacts in the order of their ids, and how many there are in all.

        Archived contacts show only when asked for. Their places alone find the page.
        """
        wanted = [status] if status else [name for name in STATUSES if name != "archived"]
        statuses = json.dumps(wanted)
        if since:
            total = self.truth.count(
                """
                SELECT count(*) FROM mailchimp_places
                WHERE list_id = ? AND last_changed > ?
                    AND status IN (SELECT value FROM json_each(?))
                """,
                (list_id, since, statuses),
            )
        else:
            counted = self.truth.statuses(list_id)
            total = sum(counted.get(name, 0) for name in wanted)
        if total <= offset:
            return [], total
        rows = self.truth.all(
            """
            SELECT members.* FROM (
                SELECT member_number FROM mailchimp_places
                WHERE list_id = ? AND last_changed > ?
                    AND status IN (SELECT value FROM json_each(?))
                ORDER BY id LIMIT ? OFFSET ?
            ) AS listed
            INNER JOIN mailchimp_members AS members USING (member_number)
            ORDER BY members.id
            """,
            (list_id, since, statuses, count, offset),
        )
        return rows, total

    def tagged(
        self, segment_id: str, statuses: Iterable[str], count: int, offset: int
    ) -> tuple[list[sqlite3.Row], int]:
        """A page of the contacts that carry a tag, and how many there are in all."""
        parameters = (segment_id, json.dumps(list(statuses)))
        total = self.truth.count(
            """
            SELECT count(*) FROM mailchimp_segment_members AS tags
            INNER JOIN mailchimp_members AS members USING (member_number)
            WHERE tags.segment_id = ? AND members.status IN (SELECT value FROM json_each(?))
            """,
            parameters,
        )
        rows = self.truth.all(
            """
            SELECT members.* FROM mailchimp_segment_members AS tags
            INNER JOIN mailchimp_members AS members USING (member_number)
            WHERE tags.segment_id = ? AND members.status IN (SELECT value FROM json_each(?))
            ORDER BY tags.member_number LIMIT ? OFFSET ?
            """,
            (*parameters, count, offset),
        )
        return rows, total
