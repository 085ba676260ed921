"""Webhook: every batch is one signed POST to an address of your own, for whatever has no file here.

The body is JSON: `audience`, `operation` (`ping`, `declare`, `add`, `update`, `remove`), and

    fields    with `declare`: the kinds of the audience's declared fields, by name
    members   with the verbs: `identity` (SHA-256 of the trimmed, lower-case address) and
              `customer_id`; but for a removal also the contact (`email`, `phone`, ...) and `fields`

Three headers come with it. `Regulars-Signature: t=<unix time>,v1=<hex>` is the HMAC-SHA256 of
`<t>.<body>` by the connection's password; refuse what is older than five minutes.
`Idempotency-Key` is the same when a batch is replayed. Any 2xx accepts the batch, except for those
whom a JSON answer names: `{"rejected": [{"identity": ..., "code": ..., "class": ...}]}`, the class
being `retry`, `fix_data`, `suppressed` or `never`. 401 refuses the signature, 404 or 410 does not
know the audience, 400, 413 and 422 refuse the batch for something in it, 408, 425, 429 and 5xx ask
for another try, after `Retry-After` if given. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from time import time
from typing import Any, get_args
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import requests
from requests.adapters import HTTPAdapter

from include.connections import Credentials, checked_url
from include.destinations.base import (
    Answer,
    Batch,
    BatchRefused,
    Destination,
    FieldKind,
    Member,
    Operation,
    Rejection,
    RejectionClass,
    RemoteAudience,
)
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop
from include.retry_after import retry_after

TIMEOUT_SECONDS = 60
FEWEST_SECRET_CHARACTERS = 32
MOST_CHARACTERS = 1000
KEY_LENGTH = 32
CODE = re.compile(r"[a-z0-9_]{1,40}")
BUSY = frozenset({408, 425, 429})
REFUSED_BATCH = frozenset({400, 413, 422})


class Webhook(Destination):
    """Tell a receiver who is in, who is out, and what the declared fields are."""

    name = "webhook"
    batch_size = 1000
    connections = 4
    contacts_sql = r"""
        select
            customer_id,
            case
                when strlen(trim(email)) <= 254 and regexp_full_match(
                    trim(email),
                    '[^@\s,;:<>()\[\]"\\]+@([^@\s,;:<>()\[\]"\\.]+\.)+[^@\s,;:<>()\[\]"\\.]+'
                ) then sha256(lower(trim(email)))
            end as identity,
            {
                'email': trim(email),
                'phone': phone_key,
                'first_name': first_name,
                'last_name': last_name,
                'country': country,
                'language': language
            } as contact
        from contacts
    """

    def __init__(self, credentials: Credentials) -> None:
        secret = credentials.require_password(self.connection())
        if len(secret) < FEWEST_SECRET_CHARACTERS:
            raise BadInput(
                f"connection {self.connection()}: the password signs all calls, and must have "
                f"{FEWEST_SECRET_CHARACTERS} characters at least (openssl rand -hex 32)"
            )
        self._secret = secret.encode()
        self._url = credentials.require_option("url", self.connection())
        checked_url(self._url, self.connection(), option="url")
        self._opened = uuid4().hex
        self._session = requests.Session()
        # A proxy's or a user's netrc must not put other credentials beside the signature.
        self._session.auth = _no_credentials
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=self.connections))

    @property
    def account(self) -> str:
        """The receiver's host and a hash of its address, which may hold a secret of its own."""
        digest = hashlib.sha256(self._url.encode()).hexdigest()
        return f"{urlsplit(self._url).hostname}-{digest[:12]}"

    def test_connection(self) -> tuple[bool, str]:
        """Send a signed `ping`."""
        try:
            self._post({"operation": "ping"}, "ping")
        except RegularsError as error:
            return False, str(error)
        return True, f"{urlsplit(self._url).hostname} took a signed call."

    def ensure_audience(
        self, name: str, fields: Mapping[str, FieldKind], known_id: str | None
    ) -> RemoteAudience:
        """Tell the receiver of the audience and its fields; it goes by its name there."""
        content = {"audience": name, "operation": "declare", "fields": fields}
        self._post(content, _digest("declare", name, json.dumps(fields)))
        return RemoteAudience(known_id or name, name)

    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Tell the receiver that these people are in."""
        return self._tell("add", audience, batch)

    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Tell the receiver what the fields of these people, who are in, are now."""
        return self._tell("update", audience, batch)

    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Tell the receiver that these people are out; by their identity alone."""
        return self._tell("remove", audience, batch)

    def _tell(self, operation: Operation, audience: RemoteAudience, batch: Batch) -> Answer:
        content = {
            "audience": audience.audience_id,
            "operation": operation,
            "members": [_shown(member, operation) for member in batch.members],
        }
        # Half of a batch that was refused as a whole is a batch of its own.
        people = _digest(*(member.identity for member in batch.members))
        plan = batch.plan_id or self._opened
        key = _digest(plan, str(batch.number), operation, audience.name, people)
        answer = self._post(content, key)
        return Answer(_rejections(batch, answer.get("rejected")))

    def _post(self, content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Send one body; the receiver's answer if it is a JSON object, else an empty one."""
        body = msgspec.json.encode(content)
        instant = str(int(time()))
        signature = hmac.new(self._secret, f"{instant}.".encode() + body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "Regulars-Signature": f"t={instant},v1={signature.hexdigest()}",
            "User-Agent": "Regulars",
        }
        with self.take_turn():
            try:
                answer = self._session.post(
                    self._url,
                    data=body,
                    headers=headers,
                    timeout=TIMEOUT_SECONDS,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise Retry(f"the receiver could not be reached ({type(error).__name__})") from None
            if not 200 <= answer.status_code < 300:
                raise _failure(answer)
        return _told(answer)


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _shown(member: Member, operation: Operation) -> dict[str, Any]:
    """A member as the receiver gets it; of who leaves, no more than is needed to find them."""
    shown: dict[str, Any] = {"identity": member.identity, "customer_id": member.customer_id}
    if operation == "remove":
        return shown
    contact = {name: _short(value) for name, value in (member.contact or {}).items() if value}
    fields = {name: _short(value) for name, value in member.payload.items()}
    return shown | contact | {"fields": fields}


def _short(value: object) -> object:
    return value[:MOST_CHARACTERS] if isinstance(value, str) else value


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:KEY_LENGTH]


def _told(answer: requests.Response) -> Mapping[str, Any]:
    """What a 2xx says. A page in its place comes from something that stands in front."""
    kind = answer.headers.get("Content-Type", "")
    if "html" in kind:
        raise Retry(f"a page answers in the receiver's place ({answer.status_code})")
    if "json" not in kind or not answer.content.strip():
        return {}
    try:
        content = answer.json()
    except ValueError:
        raise Retry("the receiver's answer is not the JSON it says to be") from None
    return content if isinstance(content, dict) else {}


def _rejections(batch: Batch, rejected: object) -> tuple[Rejection, ...]:
    """The members an answer names; of its words only a plain code is kept."""
    if not isinstance(rejected, list):
        return ()
    named = {
        str(row["identity"]): row for row in rejected if isinstance(row, dict) and "identity" in row
    }
    return tuple(
        _rejection(member, named[member.identity])
        for member in batch.members
        if member.identity in named
    )


def _rejection(member: Member, row: Mapping[str, Any]) -> Rejection:
    code = str(row.get("code"))
    kind: RejectionClass = (
        row["class"] if row.get("class") in get_args(RejectionClass) else "fix_data"
    )
    return Rejection(
        member.customer_id,
        code if CODE.fullmatch(code) else "refused",
        "the receiver refused the row",
        kind,
    )


def _failure(answer: requests.Response) -> RegularsError:
    """The error for a refused call, by its status; no text of the receiver's is kept."""
    status = answer.status_code
    # A firewall or a proxy refuses without a word.
    if status in BUSY or status >= 500 or (status == 403 and not answer.content):
        return Retry(f"the receiver is busy ({status})", retry_after(answer.headers))
    if status in (401, 403):
        return Reauthorise(f"the receiver refuses the signature ({status})")
    if status in (404, 410):
        return Stop(
            f"the receiver no longer has the audience ({status}): restore it there, or forget what "
            "we believe it holds"
        )
    if status in REFUSED_BATCH:
        return BatchRefused(f"the receiver refuses a batch ({status})", code=str(status))
    if 300 <= status < 400:
        return Stop(f"the receiver sends us elsewhere ({status}): put the final address into url")
    return Stop(f"the receiver refuses a call ({status})")
