"""The paths of the Data Manager API."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from itertools import count
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from include.sandbox.answers import Json, Refusal, answer_refusal, dump
from include.sandbox.google.errors import google_error, invalid, violation
from include.sandbox.google.tables import identity
from include.sandbox.truth import Truth

MOST_MEMBERS = 10_000
MOST_IDENTIFIERS = 10
FIRST_LIST = 9_100_000_001
SHA256 = re.compile(r"[0-9a-f]{64}")
# A member's identifiers, as they are kept, with nothing wrong about them.
SOUND = re.compile(rf'\[(?:\["\w+","[0-9a-f]{{64}}"\],?){{1,{MOST_IDENTIFIERS}}}\]')
FILTER = re.compile(r'displayName\s*=\s*"([^"]*)"|display_name\s*=\s*"([^"]*)"')
# Enums come by name or by number.
HEX = ("HEX", 1)
ACCEPTED = ("ACCEPTED", 1)
CONTACT_ID = ("CONTACT_ID", 1)
DENIED = ("CONSENT_DENIED", 2)

Body = TypeVar("Body")


class UserData(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Who somebody is: each identifier is of one kind, with its hash."""

    user_identifiers: list[dict[str, str]] = []


class Consent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What somebody agrees to."""

    ad_user_data: str | int | None = None
    ad_personalization: str | int | None = None


UNSAID = Consent()


class AudienceMember(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One member of a request; ten thousand as dicts would take three times as long to read."""

    user_data: UserData = UserData()
    consent: Consent = UNSAID


class Change(msgspec.Struct, frozen=True, rename="camel"):
    """A request to put members into a list, or to take them out."""

    destinations: list[dict[str, Any]] = []
    audience_members: list[AudienceMember] = []
    encoding: str | int | None = None
    consent: Consent = UNSAID
    terms_of_service: dict[str, Any] = {}


class Options(BaseModel):
    """Google's side of things: what the account has signed, how long a request is worked on."""

    model_config = ConfigDict(extra="forbid")

    has_signed_terms: bool = False
    processing_seconds: float = Field(0, ge=0)


def create_router(truth: Truth) -> APIRouter:
    """The route that changes Google's side."""
    router = APIRouter()

    @router.post("/_google")
    async def change(options: Options) -> Json:
        with truth.connection:
            truth.connection.execute(
                "UPDATE google_settings SET has_signed_terms = ?, processing_seconds = ?",
                (options.has_signed_terms, options.processing_seconds),
            )
        return Json(options.model_dump())

    return router


async def authorise(request: Request) -> None:
    """Let nobody in without a token."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind != "Bearer" or not token or token.startswith("revoked"):
        raise Refusal(
            google_error(
                401,
                "Request had invalid authentication credentials. Expected OAuth 2 access token, "
                "login cookie or other valid authentication credential.",
                "ACCESS_TOKEN_EXPIRED" if token else "CREDENTIALS_MISSING",
            )
        )


def create_app(truth: Truth) -> FastAPI:
    """The Data Manager API on its own; the paths begin below `/v1`."""
    app = FastAPI(openapi_url=None, dependencies=[Depends(authorise)])
    app.add_exception_handler(Refusal, answer_refusal)

    @app.get("/accountTypes/GOOGLE_ADS/accounts/{account_id}/userLists")
    async def lists(request: Request, account_id: str) -> Json:
        query = request.query_params
        found = FILTER.fullmatch(query.get("filter", ""))
        size = min(int(query.get("pageSize") or 50) or 50, 1000)
        rows = truth.all(
            """
            SELECT * FROM google_lists
            WHERE account_id = ? AND list_id > ? AND (? IS NULL OR display_name = ?)
            ORDER BY list_id LIMIT ?
            """,
            (
                account_id,
                int(query.get("pageToken") or 0),
                *([found[1] or found[2]] * 2 if found else [None, None]),
                size + 1,
            ),
        )
        content: dict[str, Any] = {"userLists": [resource(row) for row in rows[:size]]}
        if len(rows) > size:
            content["nextPageToken"] = str(rows[size - 1]["list_id"])
        return Json(content)

    @app.post("/accountTypes/GOOGLE_ADS/accounts/{account_id}/userLists")
    async def create(request: Request, account_id: str) -> Json:
        document = await body(request, dict[str, Any])
        name = document.get("displayName")
        info = document.get("ingestedUserListInfo", {})
        if not name:
            raise Refusal(invalid("user_list.display_name", "REQUIRED_FIELD_MISSING", "Required."))
        if not any(kind in CONTACT_ID for kind in info.get("uploadKeyTypes", ())):
            reason = "INVALID_USER_LIST_TYPE"
            raise Refusal(invalid("user_list.ingested_user_list_info", reason, "Not applicable."))
        seconds = float(str(document.get("membershipDuration", "46656000s")).removesuffix("s"))
        if seconds % 86_400:
            reason = "INVALID_FORMAT"
            raise Refusal(invalid("user_list.membership_duration", reason, "Must be whole days."))
        with truth.connection:
            cursor = truth.connection.execute(
                """
                INSERT INTO google_lists (list_id, account_id, display_name, document)
                SELECT coalesce(max(list_id) + 1, ?), ?, ?, ? FROM google_lists
                """,
                (FIRST_LIST, account_id, name, dump(document).decode()),
            )
        [row] = truth.all("SELECT * FROM google_lists WHERE list_id = ?", (cursor.lastrowid,))
        return Json(resource(row))

    @app.post("/audienceMembers:ingest")
    async def ingest(request: Request) -> Json:
        change = await body(request, Change)
        terms = change.terms_of_service.get("customerMatchTermsOfServiceStatus")
        settings = truth.one("SELECT * FROM google_settings")
        if terms not in ACCEPTED and not (settings and settings["has_signed_terms"]):
            raise Refusal(
                invalid(
                    "terms_of_service",
                    "TERMS_AND_CONDITIONS_NOT_SIGNED",
                    "Required terms and conditions are not accepted.",
                )
            )
        return Json({"requestId": change_members(truth, change, "ingest")})

    @app.post("/audienceMembers:remove")
    async def remove(request: Request) -> Json:
        change = await body(request, Change)
        return Json({"requestId": change_members(truth, change, "remove")})

    @app.get("/requestStatus:retrieve")
    async def status(request: Request) -> Json:
        request_id = request.query_params.get("requestId", "")
        row = truth.one("SELECT * FROM google_requests WHERE request_id = ?", (request_id,))
        if row is None:
            raise Refusal(google_error(404, "Resource not found.", "NOT_FOUND"))
        return Json({"requestStatusPerDestination": [request_status(truth, row)]})

    return app


async def body(request: Request, kind: type[Body]) -> Body:
    """A request's JSON object."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError:
        raise Refusal(google_error(400, "Invalid JSON payload received.")) from None


def resource(row: sqlite3.Row) -> dict[str, Any]:
    """A user list as Google shows it; sizes in two figures, and 0 for anything below 100."""
    size = 0 if row["size"] < 100 else int(float(f"{row['size']:.1e}"))
    counts = ("displayNetworkMembersCount", "searchNetworkMembersCount", "youtubeMembersCount")
    return {
        **json.loads(row["document"]),
        "name": f"accountTypes/GOOGLE_ADS/accounts/{row['account_id']}/userLists/{row['list_id']}",
        "id": str(row["list_id"]),
        "accessReason": "OWNED",
        "sizeInfo": {count: str(size) for count in counts},
    }


def change_members(truth: Truth, change: Change, operation: str) -> str:
    """Check a request to the letter, do what it asks, and keep its id."""
    if change.encoding not in HEX:
        raise Refusal(invalid("encoding", "REQUIRED_FIELD_MISSING", "Required field is missing."))
    row = user_list(truth, change)
    members = change.audience_members
    if not members:
        raise Refusal(invalid("audience_members", "REQUIRED_FIELD_MISSING", "Required."))
    if len(members) > MOST_MEMBERS:
        text = "Maximum number of audience members allowed per request is 10,000."
        raise Refusal(invalid("audience_members", "TOO_MANY_AUDIENCE_MEMBERS", text))
    people = [dump(sorted(identifiers(member))).decode() for member in members]
    violations = [
        problem
        for place, text in enumerate(people)
        if not SOUND.fullmatch(text)
        for problem in problems(place, identifiers(members[place]))
    ]
    if violations:
        text = "There was a problem with the request."
        raise Refusal(google_error(400, text, "INVALID_ARGUMENT", violations))
    taken = [
        text
        for member, text in zip(members, people, strict=True)
        if operation == "remove" or not is_denied(change, member)
    ]
    wanted = {identity(text): text for text in taken}
    request_id = secrets.token_urlsafe(12)
    places = truth.places("google", row["list_id"])
    with truth.connection as connection:
        if operation == "remove":
            gone = [(places.pop(who),) for who in wanted if who in places]
            connection.executemany("DELETE FROM google_people WHERE rowid = ?", gone)
            changed = len(gone)
        else:
            [(last,)] = connection.execute("SELECT coalesce(max(rowid), 0) FROM google_people")
            new = [who for who in wanted if who not in places]
            numbers = dict(zip(new, count(last + 1), strict=False))
            connection.executemany(
                """
                INSERT INTO google_people (rowid, list_id, identity, identifiers)
                VALUES (?, ?, ?, ?)
                """,
                [(number, row["list_id"], who, wanted[who]) for who, number in numbers.items()],
            )
            places |= numbers
            changed = len(new)
        connection.execute(
            """
            UPDATE google_lists SET
                size = size + :added - :removed, added = added + :added,
                removed = removed + :removed
            WHERE list_id = :list_id
            """,
            {
                "list_id": row["list_id"],
                "added": 0 if operation == "remove" else changed,
                "removed": changed if operation == "remove" else 0,
            },
        )
        connection.execute(
            "INSERT INTO google_requests VALUES (?, ?, ?, ?, ?, ?)",
            (
                request_id,
                row["list_id"],
                operation,
                len(members),
                len(members) - len(taken),
                time.time(),
            ),
        )
    return request_id


def user_list(truth: Truth, change: Change) -> sqlite3.Row:
    """The one list that a request is for."""
    destinations = change.destinations
    if len(destinations) != 1:
        raise Refusal(invalid("destinations", "REQUIRED_FIELD_MISSING", "Required."))
    account = destinations[0].get("operatingAccount", {})
    row = truth.one(
        "SELECT * FROM google_lists WHERE list_id = ? AND account_id = ?",
        (destinations[0].get("productDestinationId"), account.get("accountId")),
    )
    if row is None:
        field = "destinations[0].product_destination_id"
        raise Refusal(invalid(field, "INVALID_USER_LIST_ID", "User list is not valid."))
    return row


def identifiers(member: AudienceMember) -> list[tuple[str, str]]:
    """A member's identifiers: of which kind, and the hash."""
    given = member.user_data.user_identifiers
    return [(kind, value) for identifier in given for kind, value in identifier.items()]


def problems(place: int, found: list[tuple[str, str]]) -> list[dict[str, str]]:
    """What is wrong with the member at a place."""
    field = f"audience_members[{place}].user_data.user_identifiers"
    if not found:
        return [violation(field, "INVALID_AUDIENCE_MEMBER", "This audience member is not valid.")]
    if len(found) > MOST_IDENTIFIERS:
        return [violation(field, "TOO_MANY_USER_IDENTIFIERS", "At most 10 are allowed.")]
    return [
        violation(f"{field}[{number}]", "INVALID_SHA256_FORMAT", "The SHA256 value is malformed.")
        for number, (_, value) in enumerate(found)
        if not SHA256.fullmatch(value)
    ]


def is_denied(change: Change, member: AudienceMember) -> bool:
    """Whether consent is denied for a member; its own counts before the request's."""
    consent = change.consent if member.consent == UNSAID else member.consent
    return consent.ad_user_data in DENIED or consent.ad_personalization in DENIED


def request_status(truth: Truth, row: sqlite3.Row) -> dict[str, Any]:
    """What has become of a request."""
    settings = truth.one("SELECT * FROM google_settings")
    wait = settings["processing_seconds"] if settings else 0
    if time.time() < row["received_at"] + wait:
        return {"requestStatus": "PROCESSING"}
    counted = {"userDataIngestionStatus": {"recordCount": str(row["received"])}}
    status: dict[str, Any] = {"requestStatus": "SUCCESS", "audienceMembersIngestionStatus": counted}
    if row["operation"] == "remove":
        removed = {"userDataRemovalStatus": {"recordCount": str(row["received"])}}
        status = {"requestStatus": "SUCCESS", "audienceMembersRemovalStatus": removed}
    if row["failed"]:
        reason = "PROCESSING_ERROR_REASON_DENIED_CONSENT"
        errors = [{"recordCount": str(row["failed"]), "reason": reason}]
        status["errorInfo"] = {"errorCounts": errors}
        everybody = row["failed"] == row["received"]
        status["requestStatus"] = "FAILED" if everybody else "PARTIAL_SUCCESS"
    return status
