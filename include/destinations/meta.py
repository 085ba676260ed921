"""Meta: an audience is a customer-file custom audience of one ad account.

People are named by the hashes of ONE schema, e-mail and phone together: a removal with another
schema is accepted and does nothing. https://developers.facebook.com/docs/marketing-api/audiences
"""

from __future__ import annotations

import json
import re
import string
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import requests
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

from include.connections import Credentials, checked_url
from include.destinations.base import (
    Answer,
    Batch,
    Destination,
    FieldKind,
    Rejection,
    RemoteAudience,
    SessionOver,
    Size,
)
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop

SCHEMA = ("EMAIL", "PHONE")
SEPARATOR = ":"
UNRESERVED = f"{string.ascii_letters}{string.digits}-._~".encode()
PERCENT = ord("%")
PAGE = 500
SMALLEST_TOLD = 1000
TIMEOUT_SECONDS = 120
TERMS = "https://business.facebook.com/ads/manage/customaudiences/tos/"

# https://developers.facebook.com/docs/graph-api/overview/rate-limiting and destinations' guides
BUSY = frozenset({1, 2, 4, 17, 32, 341, 613, *range(80000, 80015)})
REFUSED = frozenset({3, 10, 102, 190, 200, 294})
TERMS_NOT_ACCEPTED = frozenset({(200, 1870090), (100, 1870090), (2655, None), (2663, None)})
FLAGGED = frozenset({(100, 1713230), (100, 1713231), (471, None)})
GONE = frozenset({(100, 33), (2654, None)})
SESSION_BUSY = (2650, 1870145)
SESSION_OVER = frozenset({(2650, 1870158), (2650, 1870159)})
TOO_SMALL = (100, 1870034)


def form_encoded(parameters: Mapping[str, object]) -> bytes:
    """A form as `urllib.parse.urlencode` writes it (a space as %20), in a tenth of the time.

    Ten thousand people are a megabyte and a half, of which few characters have to be escaped.
    """
    return b"&".join(b"%s=%s" % (_quoted(k), _quoted(str(v))) for k, v in parameters.items())


def _quoted(text: str) -> bytes:
    quoted = text.encode()
    # The percent sign first: the others' escapes have one.
    for byte in sorted(set(quoted.translate(None, UNRESERVED)), key=PERCENT.__ne__):
        quoted = quoted.replace(bytes([byte]), b"%%%02X" % byte)
    return quoted


def _form_sent(
    send: Callable[..., requests.Response],
    method: str,
    url: str,
    data: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> requests.Response:
    """A session's `request`, with the body encoded before it."""
    if not data:
        return send(method, url, headers=headers, **options)
    headers = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
    return send(method, url, data=form_encoded(data), headers=headers, **options)


class TooSmall(Stop):
    """A removal would leave fewer people than Meta allows."""


class Meta(Destination):
    """Fill custom audiences; sessions carry their batches in order, so one at a time."""

    name = "meta"
    batch_size = 10_000
    carries_fields = False
    tells_sizes = True
    # Meta closes a session 90 minutes after its first batch.
    session_seconds = 80 * 60
    contacts_sql = r"""
        with

        hashed as (
            select
                customer_id,
                case
                    when regexp_full_match(trim(email), '[^@\s]+@[^@\s]+\.[^@\s]+')
                        then sha256(lower(trim(email)))
                end as email_hash,
                -- E.164 without its plus sign
                sha256(substr(phone_key, 2)) as phone_hash
            from contacts
        )

        select
            customer_id,
            case
                when email_hash is not null or phone_hash is not null
                    then concat(email_hash, ':', phone_hash)
            end as identity,
            null as contact
        from hashed
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._token = credentials.require_password(self.connection())
        account = credentials.require_option("ad_account_id", self.connection())
        if not re.fullmatch(r"(act_)?\d+", account):
            raise BadInput(f"connection {self.connection()}: ad_account_id must be like act_1234")
        self._account = f"act_{account.removeprefix('act_')}"
        base_url = credentials.extra.get("base_url")
        self._graph = checked_url(base_url, self.connection()) if base_url else None
        self._threads = threading.local()

    @property
    def account(self) -> str:
        """The ad account's id."""
        return self._account

    def test_connection(self) -> tuple[bool, str]:
        """Look the ad account up, and whether it has accepted the terms for custom audiences."""
        try:
            found = self._call("GET", self._account, fields="name,tos_accepted")
        except RegularsError as error:
            return False, str(error)
        if not (found.get("tos_accepted") or {}).get("custom_audience_tos"):
            return False, f"Accept the custom audience terms of the ad account first: {TERMS}"
        return True, f"Connected to the ad account {found.get('name')}."

    def ensure_audience(
        self, name: str, fields: Mapping[str, FieldKind], known_id: str | None
    ) -> RemoteAudience:
        """The custom audience of that name. Meta's audiences carry no fields."""
        return RemoteAudience(known_id or self._audience_named(name), name)

    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Put the people into the audience."""
        return self._users(audience, batch)

    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Nothing to tell Meta: who a person is has not changed, and there are no fields."""
        return Answer()

    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Take the people out of the audience."""
        try:
            # As a DELETE, the client puts everybody into the address of the request.
            return self._users(audience, batch, method="DELETE")
        except TooSmall:
            reason = "the audience would become too small; they stay in until it has grown"
            return Answer(
                tuple(
                    Rejection(member.customer_id, "audience_too_small", reason, "retry")
                    for member in batch.members
                )
            )

    def erase(self, identities: Sequence[str]) -> Answer:
        """Take the people out of every audience of the ad account.

        https://developers.facebook.com/docs/marketing-api/reference/ad-account/usersofanyaudience/
        """
        received = 0
        for start in range(0, len(identities), self.batch_size):
            rows = [one.split(SEPARATOR) for one in identities[start : start + self.batch_size]]
            payload = {"schema": SCHEMA, "is_raw": True, "data": rows}
            answer = self._call(
                "POST",
                self._account,
                "usersofanyaudience",
                payload=msgspec.json.encode(payload).decode(),
                # As a DELETE, the client puts everybody into the address of the request.
                method="DELETE",
            )
            if answer.get("num_received", len(rows)) < len(rows):
                raise Retry("Meta did not account for everybody who is to be erased")
            received += len(rows)
        return Answer(vendor={"received": received})

    def size(self, audience: RemoteAudience) -> Size:
        """Meta tells sizes in round numbers only, and 1000 for anything below."""
        fields = "approximate_count_lower_bound,approximate_count_upper_bound"
        answer = self._call("GET", audience.audience_id, fields=fields)
        lower, upper = (int(answer.get(name, -1)) for name in fields.split(","))
        if lower < 0 or upper < 0:
            raise Retry("Meta does not tell the size of the audience yet")
        return Size(0 if lower <= SMALLEST_TOLD else lower, upper)

    def _users(self, audience: RemoteAudience, batch: Batch, **options: Any) -> Answer:
        if batch.session:
            options["session"] = {
                "session_id": batch.session.session_id,
                "batch_seq": batch.session.sequence,
                "last_batch_flag": batch.session.is_last,
                "estimated_num_total": batch.session.total,
            }
        rows = [member.identity.split(SEPARATOR) for member in batch.members]
        payload = {"schema": SCHEMA, "is_raw": True, "data": rows}
        answer = self._call(
            "POST",
            audience.audience_id,
            "users",
            # The client takes ten times as long to write it as JSON.
            payload=msgspec.json.encode(payload).decode(),
            **options,
        )
        expected = len(rows) + (batch.session.received_before if batch.session else 0)
        received = answer.get("num_received")
        if not isinstance(received, int) or received < expected:
            raise Retry(f"Meta says it received {received} people where {expected} were sent")
        return Answer(
            rejections=_invalid_entries(batch, answer.get("invalid_entry_samples") or ()),
            vendor={
                "batch_seq": batch.session.sequence if batch.session else 1,
                "num_received": received,
                "num_invalid_entries": answer.get("num_invalid_entries", 0),
            },
        )

    def _audience_named(self, name: str) -> str:
        options: dict[str, Any] = {"fields": "id,name", "limit": PAGE}
        while True:
            answer = self._call("GET", self._account, "customaudiences", **options)
            for found in answer.get("data", ()):
                if found["name"] == name:
                    return str(found["id"])
            paging = answer.get("paging", {})
            if "next" not in paging:
                break
            options["after"] = paging["cursors"]["after"]
        created = self._call(
            "POST",
            self._account,
            "customaudiences",
            name=name,
            subtype="CUSTOM",
            customer_file_source="USER_PROVIDED_ONLY",
            description="Kept in step by Regulars.",
        )
        return str(created["id"])

    @property
    def _api(self) -> FacebookAdsApi:
        """This thread's client: its HTTP session must not be shared."""
        if not hasattr(self._threads, "api"):
            extra = self._credentials.extra
            session = FacebookSession(
                extra.get("app_id"), extra.get("app_secret"), self._token, timeout=TIMEOUT_SECONDS
            )
            if self._graph:
                session.GRAPH = self._graph
            session.requests.request = partial(_form_sent, session.requests.request)
            self._threads.api = FacebookAdsApi(session)
        return self._threads.api

    def _call(self, verb: str, *path: str, **parameters: Any) -> dict[str, Any]:
        """Call the Graph API; only a JSON object without an error is an answer."""
        try:
            answer = self._api.call(verb, path, params=parameters)
        except FacebookRequestError as error:
            raise _failure(error) from None
        except requests.RequestException as error:
            raise Retry(f"Meta could not be reached ({type(error).__name__})") from None
        except (AttributeError, TypeError, ValueError):
            # The client stumbles over answers that are neither results nor proper errors.
            raise Retry("Meta's answer cannot be read") from None
        body = answer.json()
        # The client takes an error page for a success, whatever its status.
        if answer.status() >= 400 or not isinstance(body, dict):
            raise Retry(f"Meta's answer is not JSON ({answer.status()})")
        return body


def _invalid_entries(
    batch: Batch, samples: Mapping[str, str] | Sequence[str]
) -> tuple[Rejection, ...]:
    """The members Meta names as invalid: each sample is a row as JSON text, or that row itself."""
    named = set()
    for sample in samples:
        try:
            row = json.loads(sample)
        except (TypeError, ValueError):
            row = sample
        named.add(SEPARATOR.join(map(str, row)) if isinstance(row, list) else str(row))
    return tuple(
        Rejection(m.customer_id, "invalid_entry", "Meta cannot read the keys", "fix_data")
        for m in batch.members
        if m.identity in named
    )


def _failure(error: FacebookRequestError) -> RegularsError:
    """The error for a failed call, by the codes in its body; no text of the vendor's is kept."""
    code, subcode = error.api_error_code(), error.api_error_subcode()
    status = error.http_status()
    numbers = f"{code}/{subcode}" if subcode else str(code)
    exact = {(code, subcode), (code, None)}
    if exact & TERMS_NOT_ACCEPTED:
        return Stop(f"accept the custom audience terms of the ad account at {TERMS} ({numbers})")
    if exact & FLAGGED:
        return Stop(
            f"Meta has flagged the audience and takes no uploads ({numbers}): give it a name that "
            "says nothing of health or money, or ask for a review"
        )
    if exact & GONE:
        return Stop(
            f"Meta no longer has this audience ({numbers}): restore it there, or forget what we "
            "believe it holds"
        )
    if exact & SESSION_OVER:
        return SessionOver(f"the upload session is over ({numbers})")
    if (code, subcode) == TOO_SMALL:
        return TooSmall(f"the audience would become too small ({numbers})")
    if code in BUSY or (code, subcode) == SESSION_BUSY or error.api_transient_error():
        return Retry(f"Meta is busy or limits calls ({numbers})", _seconds(error.http_headers()))
    if code in REFUSED or status == 401:
        return Reauthorise(f"Meta refuses the access token or a permission ({numbers})")
    if code is None or status >= 500:
        return Retry(f"Meta failed ({status})")
    return Stop(f"Meta refuses the call ({status}, code {numbers})")


def _seconds(headers: Mapping[str, str] | None) -> float | None:
    """How long the account is limited, from the business use case header's minutes."""
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    try:
        usage = json.loads(lowered.get("x-business-use-case-usage", "{}"))
        minutes = [
            entry.get("estimated_time_to_regain_access", 0)
            for entries in usage.values()
            for entry in entries
        ]
    except (AttributeError, TypeError, ValueError):
        return None
    return max(minutes, default=0) * 60.0 or None
