"""Ad accounts, custom audiences and upload sessions, and the rules Meta has for them."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

from include.sandbox.answers import Refusal, dump
from include.sandbox.meta.errors import VERSION, graph_error, missing_object, session_error
from include.sandbox.meta.payload import Payload
from include.sandbox.meta.requests import decoded, integer
from include.sandbox.truth import Truth

SESSION_SECONDS = 90 * 60
CALLS_AN_HOUR = 190_000
FEWEST_OF_A_SEED = 100
FIRST_AUDIENCE = 120_210_000_000_000_001

# Meta gives examples, not the list; these are its examples and their near relations.
SENSITIVE = re.compile(
    r"(?<![a-z])(arthritis|asthma|cancer|depress\w*|diabet\w*|disease|health|illness|medical|"
    r"medication|obes\w*|patients?|pregnan\w*|bankrupt\w*|credit|debts?|financ\w*|income|"
    r"insurance|loans?|mortgages?|net worth|salary|wealth\w*)(?![a-z])",
    re.IGNORECASE,
)
OPERATIONS = {
    200: "Normal",
    410: "No file has been uploaded",
    471: (
        "The custom audience or lookalike is blocked because it suggests the use of information "
        "(e.g., health, financial) not allowed under Meta's terms."
    ),
}
AUDIENCE_FIELDS = (
    "id",
    "account_id",
    "approximate_count_lower_bound",
    "approximate_count_upper_bound",
    "customer_file_source",
    "data_source",
    "delivery_status",
    "description",
    "fields_violating_integrity_policy",
    "is_value_based",
    "name",
    "operation_status",
    "retention_days",
    "subtype",
    "time_content_updated",
    "time_created",
    "time_updated",
)


class Audiences:
    """The ad accounts, audiences and upload sessions in the truth store."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self._calls: dict[str, list[float]] = {}

    def account(self, account_id: str) -> sqlite3.Row:
        """An ad account; raises a Graph error."""
        row = self.truth.one(
            "SELECT * FROM meta_accounts WHERE 'act_' || account_id = ?", (account_id,)
        )
        if row is None:
            raise Refusal(missing_object(account_id))
        return row

    def audience(self, audience_id: str) -> sqlite3.Row:
        """An audience; raises a Graph error."""
        row = self.truth.one(
            "SELECT * FROM meta_audiences WHERE audience_id = ?", (integer(audience_id),)
        )
        if row is None:
            raise Refusal(missing_object(audience_id))
        return row

    def require_terms(self, account_id: str) -> None:
        """Refuse an account that has not accepted the custom-audience terms."""
        if not self.account(f"act_{account_id}")["tos_accepted"]:
            raise Refusal(
                graph_error(
                    200,
                    "Permissions error",
                    1870090,
                    "Custom Audience Terms Not Accepted",
                    "You must agree to the Custom Audience terms before you can use this.",
                )
            )

    def usage(self, account_id: str) -> dict[str, str]:
        """The headers that tell how much of the hour's calls an account has used."""
        instant = time.time()
        calls = [at for at in self._calls.get(account_id, []) if at > instant - 3600]
        calls.append(instant)
        self._calls[account_id] = calls
        used = {
            "type": "custom_audience",
            "call_count": len(calls) * 100 // CALLS_AN_HOUR,
            "total_cputime": 0,
            "total_time": 0,
            "estimated_time_to_regain_access": 0,
        }
        return {
            "x-business-use-case-usage": dump({account_id: [used]}).decode(),
            "x-ad-account-usage": dump({"acc_id_util_pct": used["call_count"]}).decode(),
            "facebook-api-version": VERSION,
        }

    def resource(self, row: sqlite3.Row) -> dict[str, Any]:
        """All fields of an audience."""
        # Meta shows sizes in round numbers, and 1000 for anything below.
        lower = max(1000, row["size"] // 1000 * 1000)
        upper = max(1000, -(-row["size"] // 1000) * 1000)
        code = row["operation_code"] or (200 if row["added"] else 410)
        delivery = 200 if row["size"] >= 100 else 300
        return {
            "id": str(row["audience_id"]),
            "account_id": row["account_id"],
            "approximate_count_lower_bound": lower,
            "approximate_count_upper_bound": upper,
            "customer_file_source": row["customer_file_source"],
            "data_source": {"type": "FILE_IMPORTED", "sub_type": "HASHES_OR_USER_IDS"},
            "delivery_status": {
                "code": delivery if code < 471 else 400,
                "description": "This audience is ready for use."
                if delivery == 200
                else "This audience is too small.",
            },
            "description": row["description"],
            "fields_violating_integrity_policy": json.loads(row["flagged_fields"]),
            "is_value_based": bool(row["is_value_based"]),
            "name": row["name"],
            "operation_status": {"code": code, "description": OPERATIONS.get(code, "")},
            "retention_days": 0,
            "subtype": row["subtype"],
            "time_content_updated": row["time_content_updated"],
            "time_created": row["time_created"],
            "time_updated": row["time_updated"],
        }

    def shown(self, row: sqlite3.Row, fields: str) -> dict[str, Any]:
        """The asked fields of an audience; the id always."""
        resource = self.resource(row)
        names = [name for name in re.split(r"[,\s\[\]\"]+", fields) if name]
        for name in names:
            if name not in AUDIENCE_FIELDS:
                raise Refusal(
                    graph_error(
                        100,
                        f"(#100) Tried accessing nonexisting field ({name}) "
                        "on node type (CustomAudience)",
                    )
                )
        return {name: resource[name] for name in (*names, "id")}

    def check_lookalike(self, account_id: str, given: Mapping[str, Any]) -> None:
        """Refuse a lookalike without a seed of ours, large enough, or beyond the figures."""
        spec = decoded(given, "lookalike_spec")
        spec = spec if isinstance(spec, dict) else {}
        ratio, country = spec.get("ratio"), str(spec.get("country", ""))
        if not isinstance(ratio, float) or not 0.01 <= ratio <= 0.2 or len(country) != 2:
            raise Refusal(graph_error(100, "(#100) Invalid parameter: lookalike_spec"))
        seed = self.audience(str(given.get("origin_audience_id")))
        if seed["account_id"] != account_id:
            raise Refusal(missing_object(str(given.get("origin_audience_id"))))
        if seed["size"] < FEWEST_OF_A_SEED:
            # The words and the subcode are a guess; that a hundred people are needed is documented.
            raise Refusal(
                graph_error(
                    100,
                    "Invalid parameter",
                    1870026,
                    "Source Audience Too Small",
                    "Your source audience must contain at least 100 people from one country.",
                )
            )

    def create(self, account_id: str, given: Mapping[str, Any]) -> str:
        """A new customer-file audience's id."""
        instant = int(time.time())
        cursor = self.truth.connection.execute(
            """
            INSERT INTO meta_audiences (
                audience_id, account_id, name, description, subtype, customer_file_source,
                is_value_based, flagged_fields, operation_code, time_created, time_updated,
                time_content_updated
            )
            SELECT coalesce(max(audience_id) + 1, :first), :account_id, :name, :description,
                :subtype, :customer_file_source, :is_value_based, :flagged_fields,
                :operation_code, :instant, :instant, :instant
            FROM meta_audiences
            """,
            {
                "first": FIRST_AUDIENCE,
                "account_id": account_id,
                "name": given["name"],
                "description": given.get("description", ""),
                "subtype": given.get("subtype", "CUSTOM"),
                "customer_file_source": given.get("customer_file_source", ""),
                "is_value_based": str(given.get("is_value_based")).lower() in ("true", "1"),
                "instant": instant,
                **flags(given["name"], given.get("description", "")),
            },
        )
        return str(cursor.lastrowid)

    def change_members(self, audience: sqlite3.Row, payload: Payload, remove: bool) -> int:
        """Add or remove the payload's members; returns how many that really changed."""
        connection = self.truth.connection
        audience_id = audience["audience_id"]
        places = self.truth.places("meta", audience_id)
        if remove:
            gone = [(places.pop(identity),) for identity in payload.members if identity in places]
            connection.executemany("DELETE FROM meta_members WHERE rowid = ?", gone)
            changed = len(gone)
        else:
            [(last,)] = connection.execute("SELECT coalesce(max(rowid), 0) FROM meta_members")
            new = [identity for identity in payload.members if identity not in places]
            numbers = dict(zip(new, count(last + 1), strict=False))
            connection.executemany(
                """
                INSERT INTO meta_members (rowid, audience_id, identity, key_names, key_values)
                VALUES (?, ?, ?, ?, ?)
                """,
                [
                    (number, audience_id, identity, payload.key_names, payload.members[identity])
                    for identity, number in numbers.items()
                ],
            )
            places |= numbers
            changed = len(new)
        if not remove and "LOOKALIKE_VALUE" in payload.keys:
            connection.executemany(
                "UPDATE meta_members SET key_names = ?, key_values = ? WHERE rowid = ?",
                [
                    (payload.key_names, values, places[identity])
                    for identity, values in payload.members.items()
                ],
            )
        self._count(audience_id, 0 if remove else changed, changed if remove else 0)
        return changed

    def _count(self, audience_id: int, added: int, removed: int) -> None:
        instant = int(time.time())
        self.truth.connection.execute(
            """
            UPDATE meta_audiences SET
                size = size + :added - :removed,
                added = added + :added,
                removed = removed + :removed,
                time_updated = :instant,
                time_content_updated = :instant
            WHERE audience_id = :audience_id
            """,
            {"added": added, "removed": removed, "instant": instant, "audience_id": audience_id},
        )

    def remove_everywhere(self, account_id: str, payload: Payload) -> None:
        """Take the people of a payload out of every audience of an account.

        Here a member is found when all keys that are given match, whatever else it was uploaded
        with: an erasure must reach it.
        """
        wanted = [
            {k: v for k, v in zip(payload.keys, values.split("|"), strict=True) if v}
            for values in payload.members.values()
        ]
        for audience in self.truth.all(
            "SELECT audience_id FROM meta_audiences WHERE account_id = ?", (account_id,)
        ):
            audience_id = audience["audience_id"]
            gone = []
            for member in self.truth.all(
                "SELECT rowid, key_names, key_values FROM meta_members WHERE audience_id = ?",
                (audience_id,),
            ):
                held = dict(
                    zip(
                        member["key_names"].split(","), member["key_values"].split("|"), strict=True
                    )
                )
                if any(person.items() <= held.items() for person in wanted):
                    gone.append((member["rowid"],))
            self.truth.connection.executemany("DELETE FROM meta_members WHERE rowid = ?", gone)
            self.truth.forget_places()
            self._count(audience_id, 0, len(gone))

    def upload(
        self, audience: sqlite3.Row, given: Mapping[str, Any], remove: bool
    ) -> dict[str, Any]:
        """One batch of a session: change the members, and answer with the session's totals.

        A batch that came before, by session and batch_seq, gets its first answer again and changes
        nothing.
        """
        self.require_terms(audience["account_id"])
        if (audience["operation_code"] or 0) == 471:
            raise Refusal(
                graph_error(
                    100,
                    "Invalid parameter",
                    1713230,
                    "Audience Upload Blocked",
                    "Before updating user memberships, you must resolve integrity restrictions "
                    "on this Data File Custom Audience.",
                )
            )
        session = self._session(audience, decoded(given, "session"), remove)
        key = (audience["account_id"], session["session_id"])
        replayed = self.truth.one(
            """
            SELECT answer FROM meta_batches
            WHERE account_id = ? AND session_id = ? AND batch_seq = ?
            """,
            (*key, session["batch_seq"]),
        )
        if replayed is not None:
            with self.truth.connection as connection:
                connection.execute(
                    """
                    UPDATE meta_batches SET deliveries = deliveries + 1
                    WHERE account_id = ? AND session_id = ? AND batch_seq = ?
                    """,
                    (*key, session["batch_seq"]),
                )
            answer: dict[str, Any] = json.loads(replayed["answer"])
            return answer
        if session["ended_at"] is not None:
            raise Refusal(session_error(1870159, "This session has finished."))
        if session["started_at"] < time.time() - SESSION_SECONDS:
            raise Refusal(session_error(1870158, "This session has timed out."))
        payload = Payload(decoded(given, "payload"))
        if audience["is_value_based"] and not remove and "LOOKALIKE_VALUE" not in payload.keys:
            text = "(#100) Value-Based Custom Audience requires LOOKALIKE_VALUE attribute."
            raise Refusal(graph_error(100, text))
        if remove and audience["size"] - len(payload.members) < audience["minimum_size"]:
            raise Refusal(
                graph_error(
                    100,
                    "Invalid parameter",
                    1870034,
                    "Audience Size too low",
                    "You cannot remove users from this audience because it will result in a low "
                    "audience size.",
                )
            )
        return self._apply(audience, session, payload, remove)

    def _apply(
        self, audience: sqlite3.Row, session: dict[str, Any], payload: Payload, remove: bool
    ) -> dict[str, Any]:
        instant = time.time()
        answer = {
            "audience_id": str(audience["audience_id"]),
            "session_id": str(session["session_id"]),
            "num_received": session["num_received"] + payload.received,
            "num_invalid_entries": session["num_invalid_entries"] + len(payload.invalid),
            "invalid_entry_samples": payload.samples(),
        }
        with self.truth.connection as connection:
            changed = self.change_members(audience, payload, remove)
            connection.execute(
                """
                INSERT OR REPLACE INTO meta_sessions VALUES (
                    :account_id, :session_id, :audience_id, :operation, :started_at, :ended_at,
                    :num_received, :num_invalid_entries, :changed
                )
                """,
                {
                    "account_id": audience["account_id"],
                    "session_id": session["session_id"],
                    "audience_id": audience["audience_id"],
                    "operation": session["operation"],
                    "started_at": session["started_at"],
                    "ended_at": instant if session["is_last"] else None,
                    "num_received": answer["num_received"],
                    "num_invalid_entries": answer["num_invalid_entries"],
                    "changed": session["changed"] + changed,
                },
            )
            connection.execute(
                "INSERT INTO meta_batches VALUES (?, ?, ?, ?, 1)",
                (
                    audience["account_id"],
                    session["session_id"],
                    session["batch_seq"],
                    dump(answer).decode(),
                ),
            )
        return answer

    def _session(self, audience: sqlite3.Row, given: Any, remove: bool) -> dict[str, Any]:
        """The session a batch belongs to, so far; one without a session is a session of its own."""
        operation = "remove" if remove else "add"
        new = {
            "operation": operation,
            "started_at": time.time(),
            "ended_at": None,
            "num_received": 0,
            "num_invalid_entries": 0,
            "changed": 0,
        }
        if given is None:
            own = {"session_id": secrets.randbits(62), "batch_seq": 1, "is_last": True}
            return new | own
        session_id = integer(given.get("session_id")) if isinstance(given, dict) else None
        batch_seq = integer(given.get("batch_seq", 1)) if isinstance(given, dict) else None
        if session_id is None or not 0 < session_id < 2**63 or batch_seq is None or batch_seq < 1:
            raise Refusal(
                graph_error(100, "(#100) Param session must have a valid session_id and batch_seq")
            )
        held = self.truth.one(
            "SELECT * FROM meta_sessions WHERE account_id = ? AND session_id = ?",
            (audience["account_id"], session_id),
        )
        if held is not None and (held["audience_id"], held["operation"]) != (
            audience["audience_id"],
            operation,
        ):
            raise Refusal(
                graph_error(100, "(#100) The session_id must be unique in the ad account")
            )
        last = str(given.get("last_batch_flag", False)).lower() in ("true", "1")
        named = {"session_id": session_id, "batch_seq": batch_seq, "is_last": last}
        return (new if held is None else dict(held)) | named


def flags(name: str, description: str) -> dict[str, Any]:
    """Which texts of an audience hint at health or finances, and the status that follows."""
    flagged = [
        field
        for field, text in (("name", name), ("description", description))
        if SENSITIVE.search(text.replace("_", " "))
    ]
    return {"flagged_fields": json.dumps(flagged), "operation_code": 471 if flagged else None}


def delete_audience(truth: Truth, row: sqlite3.Row) -> None:
    """Remove an audience with its members."""
    for statement in (
        "DELETE FROM meta_members WHERE audience_id = ?",
        "DELETE FROM meta_audiences WHERE audience_id = ?",
    ):
        truth.connection.execute(statement, (row["audience_id"],))
    truth.forget_places()


def edit_audience(truth: Truth, row: sqlite3.Row, given: Mapping[str, Any]) -> None:
    """Change an audience's name or description; a flagged customer-file audience stays as it is."""
    if row["operation_code"] == 471:
        raise Refusal(
            graph_error(
                100,
                "Invalid parameter",
                1713228,
                "Custom Audience Cannot Be Edited",
                "This audience cannot be edited due to integrity restrictions. Please appeal the "
                "restrictions or create a new audience",
            )
        )
    name = given.get("name", row["name"])
    description = given.get("description", row["description"])
    truth.connection.execute(
        """
        UPDATE meta_audiences SET
            name = :name, description = :description, flagged_fields = :flagged_fields,
            operation_code = :operation_code, time_updated = :instant
        WHERE audience_id = :audience_id
        """,
        {
            "name": name,
            "description": description,
            "instant": int(time.time()),
            "audience_id": row["audience_id"],
            **flags(name, description),
        },
    )
