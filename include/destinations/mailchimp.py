"""Mailchimp: an audience is a static segment (which is a tag) of one list.

Nobody who is on the list has their subscription touched: a contact the list may know is upserted
without a status, a new one is created by a call that refuses existing contacts, and leaving an
audience takes the tag off and nothing else. https://mailchimp.com/developer/marketing/api/
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import cache, cached_property
from typing import Any

import msgspec
import requests
from mailchimp_marketing.api.lists_api import ListsApi
from mailchimp_marketing.api.ping_api import PingApi
from mailchimp_marketing.api_client import ApiClient, ApiClientError
from requests.adapters import HTTPAdapter

from include.connections import Credentials, checked_url
from include.destinations.base import (
    Answer,
    Batch,
    BatchRefused,
    ContactStatus,
    Destination,
    FieldKind,
    Member,
    MemberPage,
    Rejection,
    RejectionClass,
    RemoteAudience,
    StatusPage,
    Told,
)
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop
from include.retry_after import retry_after

PAGE = 1000
TIMEOUT_SECONDS = 120
MERGE_TEXT_BYTES = 255
MERGE_TAG_LENGTH = 10
STANDARD_TAGS = frozenset({"EMAIL", "FNAME", "LNAME", "ADDRESS", "PHONE", "BIRTHDAY"})
TITLE = re.compile(r"[A-Za-z][A-Za-z0-9 -]{0,60}")
ERROR_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,60}")
REACHABLE = "subscribed"
BUSY = frozenset({408, 429, 503})
MERGE_MARKERS = re.compile(r"\*\||\|\*")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]+")

PERMISSIONS_MISSING = (
    "the list asks for marketing permissions: put the ids of those that your consent to e-mail "
    "stands for into the connection's marketing_permission_ids"
)

STATUS_REASONS = {
    "pending": "waits for the person to confirm the subscription",
    "unsubscribed": "the person has unsubscribed",
    "cleaned": "the address bounces",
    "transactional": "the person has not opted in to marketing",
    "archived": "the contact is archived",
}

# What Mailchimp says of one row -> code, class and our own words; the first that matches counts.
ROW_PROBLEMS: tuple[tuple[str, str, RejectionClass, str], ...] = (
    ("permanently deleted", "forgotten", "never", "the contact was permanently deleted"),
    ("forgotten email", "forgotten", "never", "the contact was permanently deleted"),
    ("compliance state", "compliance", "suppressed", "unsubscribed, bounced or under review"),
    ("fake or invalid", "invalid_address", "fix_data", "the address looks fake or invalid"),
    ("valid email", "invalid_address", "fix_data", "the address is not valid"),
    ("merge fields", "invalid_field", "fix_data", "a merge field's value is not valid"),
)


class Missing(Stop):
    """The list, segment or contact that a call names does not exist."""


class _OpenConnections:
    """Connections that stay open: the official client opens a new one for every call."""

    def __init__(
        self,
        key: str,
        connections: int,
        take_turn: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._take_turn = take_turn
        self._session = requests.Session()
        self._session.auth = ("user", key)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))

    def request(
        self,
        method: str,
        url: str,
        query_params: Any = None,
        headers: Any = None,
        body: Any = None,
    ) -> requests.Response:
        """One call, as the client would make it, but never on to another host with the key.

        Raises `Retry` where the answer says when to come back: the client drops the headers.
        """
        with self._take_turn():
            answer = self._session.request(
                method,
                url,
                params=query_params,
                data=None if body is None else msgspec.json.encode(body),
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
            seconds = retry_after(answer.headers)
            if answer.status_code in BUSY and seconds is not None:
                raise _busy(answer.status_code, seconds)
            return answer


class Mailchimp(Destination):
    """Tag the contacts of one list."""

    name = "mailchimp"
    batch_size = 500
    connections = 10
    lists_members = True
    status_groups = ("listed", "archived")
    contacts_sql = r"""
        select
            customer_id,
            case
                when strlen(trim(email)) <= 254 and regexp_full_match(
                    trim(email),
                    '[^@\s,;:<>()\[\]"\\]+@([^@\s,;:<>()\[\]"\\.]+\.)+[^@\s,;:<>()\[\]"\\.]+'
                ) then md5(lower(trim(email)))
            end as identity,
            {
                'email_address': trim(email),
                'first_name': first_name,
                'last_name': last_name,
                'language': language
            } as contact
        from contacts
    """

    def __init__(self, credentials: Credentials) -> None:
        client = open_client(credentials, self.connection(), lambda: self.take_turn())
        self.list_id = credentials.require_option("list_id", self.connection())
        permissions = credentials.extra.get("marketing_permission_ids", "")
        self._permissions = [one.strip() for one in permissions.split(",") if one.strip()]
        self._lists = ListsApi(client)
        self._ping = PingApi(client)

    @property
    def account(self) -> str:
        """The list's id."""
        return self.list_id

    def test_connection(self) -> tuple[bool, str]:
        """Ping, then look the list up."""
        try:
            call(self._ping.get)
            found = self._settings
        except Missing:
            return False, f"The API key works, but there is no list {self.list_id}."
        except RegularsError as error:
            return False, str(error)
        if found["marketing_permissions"] and not self._permissions:
            return False, PERMISSIONS_MISSING
        return True, f"Connected to the list {found['name']}."

    def ensure_audience(
        self, name: str, fields: Mapping[str, FieldKind], known_id: str | None
    ) -> RemoteAudience:
        """The segment of that name, and a merge field for each declared field.

        Raises `BadInput` if two fields share a merge tag or a merge field has another type.
        """
        self._ensure_merge_fields(fields)
        return RemoteAudience(known_id or self._segment_named(name), name)

    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Upsert the contacts, then tag those that may be written to."""
        rejections = self._upsert(batch.members, creates=True)
        welcome = [m for m in batch.members if m.customer_id not in rejections]
        for member in self._change_segment(audience, "members_to_add", welcome):
            rejections[member.customer_id] = Rejection(
                member.customer_id, "not_on_list", "the list does not know the contact", "retry"
            )
        return Answer(tuple(rejections.values()))

    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Upsert the contacts, who have the tag already."""
        return Answer(tuple(self._upsert(batch.members, creates=False).values()))

    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Take the tag off; by the subscriber hash where the address is no longer known."""
        addressed = [member for member in batch.members if member.contact]
        hashed = [member for member in batch.members if not member.contact]
        hashed += self._change_segment(audience, "members_to_remove", addressed)
        inactive = {"tags": [{"name": audience.name, "status": "inactive"}]}
        for member in hashed:
            try:
                call(self._lists.update_list_member_tags, self.list_id, member.identity, inactive)
            except Missing:
                continue
        return Answer(vendor={"removed_by_hash": len(hashed)})

    def erase(self, identities: Sequence[str]) -> Answer:
        """Delete the contacts permanently: Mailchimp forgets them and takes them no more by import.

        An archived contact is deleted too; one that is not on the list any more is not there.
        """
        erased = 0
        for identity in identities:
            try:
                call(self._lists.delete_list_member_permanent, self.list_id, identity)
                erased += 1
            except Missing:
                continue
        return Answer(vendor={"erased": erased, "not_there": len(identities) - erased})

    def held_members(self, audience: RemoteAudience, page: int) -> MemberPage:
        """The hashes of the contacts that carry the tag; archived and pending ones are not told."""
        try:
            answer = call(
                self._lists.get_segment_members_list,
                self.list_id,
                audience.audience_id,
                fields=["members.id", "total_items"],
                count=PAGE,
                offset=page * PAGE,
                include_unsubscribed=True,
                include_cleaned=True,
                include_transactional=True,
            )
        except Missing:
            raise Stop(f"Mailchimp no longer has the tag {audience.name}") from None
        identities = [found["id"] for found in answer["members"]]
        return MemberPage(identities, math.ceil(answer["total_items"] / PAGE))

    def statuses(self, group: str, since: datetime | None, page: int) -> StatusPage:
        """The list's contacts, oldest change first; archived ones are a listing of their own."""
        options = {"status": "archived"} if group == "archived" else {}
        if since:
            options["since_last_changed"] = since.isoformat(timespec="seconds")
        answer = call(
            self._lists.get_list_members_info,
            self.list_id,
            fields=["members.id", "members.status", "members.last_changed", "total_items"],
            count=PAGE,
            offset=page * PAGE,
            sort_field="last_changed",
            sort_dir="ASC",
            **options,
        )
        contacts = [
            ContactStatus(
                identity=found["id"],
                status=found["status"],
                is_reachable=found["status"] == REACHABLE,
                changed_at=datetime.fromisoformat(found["last_changed"]),
            )
            for found in answer["members"]
        ]
        return StatusPage(contacts, math.ceil(answer["total_items"] / PAGE))

    @cached_property
    def _settings(self) -> dict[str, Any]:
        fields = ["name", "double_optin", "marketing_permissions"]
        found = call(self._lists.get_list, self.list_id, fields=fields)
        return {field: found[field] for field in fields}

    @property
    def _status_of_new_contacts(self) -> str:
        """What a new contact becomes: on a double opt-in list the person confirms first."""
        return "pending" if self._settings["double_optin"] else REACHABLE

    def _upsert(self, members: Sequence[Member], *, creates: bool) -> dict[str, Rejection]:
        """Write the contacts' fields; rejections by customer.

        Contacts unknown to the list are created by a call that refuses existing ones, so that a
        stale status can never subscribe somebody again.
        """
        rejections: dict[str, Rejection] = {}
        strangers = [m for m in members if creates and m.status is None]
        acquainted = [m for m in members if not (creates and m.status is None)]
        if strangers:
            status = self._status_of_new_contacts
            if self._settings["marketing_permissions"]:
                refused = self._create_with_permissions(strangers, status)
            else:
                refused = self._write_contacts(strangers, status, update_existing=False)
            exist = {who for who, why in refused.items() if why.code == "exists"}
            acquainted += [m for m in strangers if m.customer_id in exist]
            rejections.update({k: v for k, v in refused.items() if k not in exist})
        if acquainted:
            rejections.update(self._write_contacts(acquainted, None, update_existing=True))
        return rejections

    def _create_with_permissions(
        self, members: Sequence[Member], status: str
    ) -> dict[str, Rejection]:
        """Create contacts together with the permissions that our consent means; one at a time.

        The batch call knows no permissions. Who exists is left alone: the call that creates would
        also subscribe an archived contact again, and what a person has chosen stays.
        """
        if not self._permissions:
            raise Stop(PERMISSIONS_MISSING)
        enabled = [{"marketing_permission_id": one, "enabled": True} for one in self._permissions]
        rejections: dict[str, Rejection] = {}
        for member in members:
            item = _item(member, status) | {"marketing_permissions": enabled}
            try:
                call(self._lists.get_list_member, self.list_id, member.identity, fields=["id"])
                rejections[member.customer_id] = _exists(member)
            except Missing:
                try:
                    options = {"skip_merge_validation": "true"}
                    created = call(self._lists.add_list_member, self.list_id, item, **options)
                    if created.get("status") != REACHABLE:
                        rejection = _suppressed(member, str(created.get("status")))
                        rejections[member.customer_id] = rejection
                except BatchRefused as refusal:
                    error = {"error": refusal.code, "error_code": refusal.code}
                    rejections[member.customer_id] = (
                        _exists(member)
                        if refusal.code == "Member Exists"
                        else _row_problem(member, error)
                    )
        return rejections

    def _write_contacts(
        self, members: Sequence[Member], status: str | None, *, update_existing: bool
    ) -> dict[str, Rejection]:
        by_address = {_address(member): member for member in members}
        body = {
            "members": [_item(member, status) for member in members],
            "update_existing": update_existing,
        }
        answer = call(
            self._lists.batch_list_members, self.list_id, body, skip_merge_validation="true"
        )
        rejections: dict[str, Rejection] = {}
        for written in (*answer.get("new_members", ()), *answer.get("updated_members", ())):
            member = by_address.pop(written["email_address"].strip().lower(), None)
            if member and written["status"] != REACHABLE:
                rejections[member.customer_id] = _suppressed(member, written["status"])
        for error in answer.get("errors", ()):
            member = by_address.pop(error.get("email_address", "").strip().lower(), None)
            if member:
                rejections[member.customer_id] = _row_problem(member, error)
        if by_address:
            raise Retry(f"Mailchimp did not account for {len(by_address)} of {len(members)} rows")
        return rejections

    def _change_segment(
        self, audience: RemoteAudience, verb: str, members: Sequence[Member]
    ) -> list[Member]:
        """Put into or take out of the segment; those that the list does not know are returned."""
        if not members:
            return []
        by_address = {_address(member): member for member in members}
        body = {verb: [member.contact["email_address"] for member in members if member.contact]}
        try:
            answer = call(
                self._lists.batch_segment_members, body, self.list_id, audience.audience_id
            )
        except Missing:
            raise Stop(
                f"Mailchimp no longer has the tag {audience.name}: restore it there, or forget "
                "what we believe it holds"
            ) from None
        refused = [
            address.strip().lower()
            for error in answer["errors"]
            for address in error.get("email_addresses", ())
        ]
        return [by_address[address] for address in refused if address in by_address]

    def _segment_named(self, name: str) -> str:
        offset = 0
        while True:
            answer = call(
                self._lists.list_segments,
                self.list_id,
                type="static",
                count=PAGE,
                offset=offset,
                fields=["segments.id", "segments.name", "total_items"],
            )
            for segment in answer["segments"]:
                if segment["name"] == name:
                    return str(segment["id"])
            offset += PAGE
            if offset >= answer["total_items"]:
                break
        created = call(
            self._lists.create_segment, self.list_id, {"name": name, "static_segment": []}
        )
        return str(created["id"])

    def _ensure_merge_fields(self, fields: Mapping[str, FieldKind]) -> None:
        if not fields:
            return
        names: dict[str, str] = {}
        for field in fields:
            tag = merge_tag(field)
            if tag in names or tag in STANDARD_TAGS:
                other = names.get(tag, "a standard field")
                raise BadInput(f"fields {field} and {other} share Mailchimp's merge tag {tag}")
            names[tag] = field
        answer = call(
            self._lists.get_list_merge_fields,
            self.list_id,
            count=PAGE,
            fields=["merge_fields.tag", "merge_fields.type"],
        )
        existing = {found["tag"]: found["type"] for found in answer["merge_fields"]}
        for tag, field in names.items():
            kind = fields[field]
            if tag not in existing:
                body = {"tag": tag, "name": field, "type": kind, "public": False}
                call(self._lists.add_list_merge_field, self.list_id, body)
            elif existing[tag] not in (kind, "text"):
                raise BadInput(
                    f"Mailchimp's merge field {tag} is of type {existing[tag]}; the field {field} "
                    f"holds {kind}: rename the field, or change the merge field"
                )


def open_client(
    credentials: Credentials,
    connection: str,
    take_turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> ApiClient:
    """The official client with its warts seen to; every call is made within `take_turn()`.

    Raises `BadInput` if the connection is short.
    """
    key = credentials.require_password(connection)
    base_url = credentials.extra.get("base_url")
    data_center = key.rpartition("-")[2] if "-" in key else ""
    if not base_url and not re.fullmatch(r"[a-z]+\d+", data_center):
        raise BadInput(f"connection {connection}: the API key must end in -us1 or alike")
    address = base_url or f"https://{data_center}.api.mailchimp.com"
    url = checked_url(address, connection, (".api.mailchimp.com",))
    # The client replaces the word "server" anywhere in an address, a list's id too.
    client = ApiClient({"api_key": key, "server": ""})
    client.host = f"{url.removesuffix('/3.0')}/3.0"
    client.request = _OpenConnections(key, Mailchimp.connections, take_turn).request
    return client


@cache
def merge_tag(field: str) -> str:
    """The merge tag of a declared field: upper case, no underscores, ten characters."""
    return field.replace("_", "").upper()[:MERGE_TAG_LENGTH]


def merge_value(value: object) -> str | int | float:
    """A value as a merge field takes it: no merge tags of its own, no control characters, short."""
    if isinstance(value, str):
        return _merge_text(value)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    return _merge_text(json.dumps(value, ensure_ascii=False))


def _merge_text(text: str) -> str:
    if text.isprintable() and "|" not in text and len(text) <= MERGE_TEXT_BYTES // 4:
        return text.strip()
    # Taking a marker out can bring another one together.
    while MERGE_MARKERS.search(text):
        text = MERGE_MARKERS.sub("", text)
    text = CONTROL_CHARACTERS.sub(" ", text).strip()
    return text.encode()[:MERGE_TEXT_BYTES].decode(errors="ignore")


def _item(member: Member, status: str | None) -> dict[str, Any]:
    contact = member.contact or {}
    names = {"FNAME": contact.get("first_name"), "LNAME": contact.get("last_name")}
    fields = {tag: merge_value(name) for tag, name in names.items() if name}
    fields |= {merge_tag(field): merge_value(value) for field, value in member.payload.items()}
    item: dict[str, Any] = {"email_address": contact["email_address"], "merge_fields": fields}
    if status:
        item["status"] = status
    if language := contact.get("language"):
        item["language"] = language
    return item


def _address(member: Member) -> str:
    return ((member.contact or {}).get("email_address") or "").strip().lower()


def _suppressed(member: Member, status: str) -> Rejection:
    reason = STATUS_REASONS.get(status, "the contact cannot be written to")
    return Rejection(member.customer_id, status, reason, "suppressed")


def _exists(member: Member) -> Rejection:
    return Rejection(member.customer_id, "exists", "the contact is on the list", "retry")


def _row_problem(member: Member, error: Mapping[str, str]) -> Rejection:
    if error.get("error_code") == "ERROR_CONTACT_EXISTS":
        return _exists(member)
    text = f"{error.get('error', '')} {error.get('field_message', '')}".lower()
    for words, code, kind, reason in ROW_PROBLEMS:
        if words in text:
            return Rejection(member.customer_id, code, reason, kind)
    code = str(error.get("error_code") or "unknown")
    if not ERROR_CODE.fullmatch(code):
        code = "unknown"
    return Rejection(member.customer_id, code, "Mailchimp refused the row", "fix_data")


def call(method: Callable[..., Any], *arguments: Any, **options: Any) -> Told:
    """Call the client, whose failures take several shapes; only a JSON object is an answer."""
    try:
        answer = method(*arguments, **options)
    except ApiClientError as error:
        raise _failure(error.status_code, error.text) from None
    if isinstance(answer, dict):
        return Told(answer)
    # The client hands back the raw response when the body is empty, `{}`, or broken JSON.
    if isinstance(answer, requests.Response):
        if answer.ok and answer.content.strip() in (b"", b"{}"):
            return Told()
        if not answer.ok:
            raise _failure(answer.status_code, None)
    raise Retry("Mailchimp's answer is not JSON")


def _busy(status: int, seconds: float | None = None) -> Retry:
    return Retry(f"Mailchimp is busy or limits calls ({status})", seconds)


def _failure(status: int | None, body: object) -> RegularsError:
    """The error for a failed call, by status and title; no text of the vendor's is kept."""
    if status is None:
        if isinstance(body, RegularsError):
            return body
        if isinstance(body, requests.RequestException):
            return Retry(f"Mailchimp could not be reached ({type(body).__name__})")
        return Stop(f"the Mailchimp client failed ({type(body).__name__})")
    problem = _problem(body)
    title = str(problem.get("title") or "no title")
    # A title is one of a glossary; anything else could quote an address.
    if not TITLE.fullmatch(title):
        title = "of no known title"
    if status in BUSY or status >= 500 or (status == 403 and not problem):
        return _busy(status)
    if status in (401, 403):
        return Reauthorise(f"Mailchimp refuses the API key ({status} {title})")
    if status == 404:
        return Missing("Mailchimp does not know what a call named (404)")
    if status == 400:
        return BatchRefused(f"Mailchimp refuses a batch (400 {title})", code=title)
    return Stop(f"Mailchimp refuses a call ({status} {title})")


def _problem(body: object) -> Mapping[str, Any]:
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return {}
    return body if isinstance(body, dict) else {}
