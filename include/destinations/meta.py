"""Meta: an audience is a customer-file custom audience of one ad account.

People are named by the hashes of ONE schema, e-mail and phone together: a removal with another
schema is accepted and does nothing. https://developers.facebook.com/docs/marketing-api/audiences
"""

from __future__ import annotations

import json
import math
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
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from include.connections import Credentials, checked_url
from include.destinations.base import (
    Answer,
    Batch,
    ConnectionDropped,
    Destination,
    FieldKind,
    Member,
    Operation,
    Rejection,
    RemoteAudience,
    SessionOver,
    Size,
    Told,
)
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop
from include.retry_after import retry_after

SCHEMA = ("EMAIL", "PHONE")
SEPARATOR = ":"
UNRESERVED = f"{string.ascii_letters}{string.digits}-._~".encode()
PERCENT = ord("%")
PAGE = 500
SMALLEST_TOLD = 1000
TIMEOUT_SECONDS = 120
# A declared field of this name makes an audience value-based; what it holds goes with each add.
VALUE_FIELD = "lookalike_value"
# Limited Data Use, for people in the United States. Nothing of an upload tells Meta in which state
# they are: the country is 1, the United States, and the state 1000, California.
# https://developers.facebook.com/docs/marketing-apis/data-processing-options
LIMITED_COLUMNS = (
    "DATA_PROCESSING_OPTIONS",
    "DATA_PROCESSING_OPTIONS_COUNTRY",
    "DATA_PROCESSING_OPTIONS_STATE",
)
LIMITED: tuple[list[str], int, int] = (["LDU"], 1, 1000)
UNLIMITED: tuple[list[str], int, int] = ([], 0, 0)
LOWEST_PERCENT, HIGHEST_PERCENT = 1, 20
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
SEED_TOO_SMALL = (100, 1870026)


class Encoded(str):
    """The value of a parameter as a form holds it already; the client takes it for a text."""

    __slots__ = ()


def form_encoded(parameters: Mapping[str, object]) -> bytes:
    """A form as `urllib.parse.urlencode` writes it (a space as %20), in a tenth of the time.

    Ten thousand people are a megabyte and a half, of which few characters have to be escaped.
    """
    return b"&".join(b"%s=%s" % (_quoted(k), _quoted(v)) for k, v in parameters.items())


def _quoted(value: object) -> bytes:
    quoted = str(value).encode()
    if isinstance(value, Encoded):
        return quoted
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
    """A session's `request`, with the body encoded before it, and never on to another host."""
    options["allow_redirects"] = False
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
                country,
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
            {'country': country} as contact
        from hashed
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._token = credentials.require_password(self.connection())
        account = credentials.require_option("ad_account_id", self.connection())
        if not re.fullmatch(r"(act_)?\d+", account):
            raise BadInput(f"connection {self.connection()}: ad_account_id must be like act_1234")
        self._account = f"act_{account.removeprefix('act_')}"
        self._limits_us_data = credentials.extra.get("limited_data_use") == "us"
        base_url = credentials.extra.get("base_url")
        hosts = ("graph.facebook.com",)
        self._graph = checked_url(base_url, self.connection(), hosts) if base_url else None
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
        """The custom audience of that name; value-based if `lookalike_value` is declared.

        Raises `Stop` if there is one of the other kind: an audience stays what it was made as.
        """
        is_value_based = VALUE_FIELD in fields
        return RemoteAudience(known_id or self._audience_named(name, is_value_based), name)

    def ensure_lookalike(self, seed: RemoteAudience, country: str, percent: int) -> RemoteAudience:
        """The audience of people in a country who are most like those of an audience of ours.

        percent: how much of the country's people, from 1 to 20. Meta keeps it fresh by itself, and
        weighs people by their values if the seed is value-based. Raises `BadInput` for other
        figures, `Stop` while fewer than a hundred people of the seed are from one country.
        """
        if not LOWEST_PERCENT <= percent <= HIGHEST_PERCENT:
            raise BadInput(f"a lookalike has {LOWEST_PERCENT} to {HIGHEST_PERCENT} percent")
        if not re.fullmatch(r"[A-Z]{2}", country):
            raise BadInput("a lookalike's country is two capital letters, such as DE")
        name = f"{seed.name} lookalike {country} {percent}%"
        if found := self._find(name):
            return RemoteAudience(str(found["id"]), name)
        created = self._call(
            "POST",
            self._account,
            "customaudiences",
            name=name,
            subtype="LOOKALIKE",
            origin_audience_id=seed.audience_id,
            lookalike_spec=json.dumps({"ratio": percent / 100, "country": country}),
        )
        return RemoteAudience(str(created["id"]), name)

    def prepare(self, operation: Operation, members: Sequence[Member]) -> Encoded:
        """The people as a form holds them; a removal needs no more than their keys."""
        schema = [*SCHEMA]
        rows: list[list[object]] = [[*_keys(member)] for member in members]
        if operation == "add" and any(VALUE_FIELD in member.payload for member in members):
            schema.append("LOOKALIKE_VALUE")
            for row, member in zip(rows, members, strict=True):
                row.append(_value(member.payload.get(VALUE_FIELD)))
        if operation == "add" and self._limits_us_data:
            schema.extend(LIMITED_COLUMNS)
            for row, member in zip(rows, members, strict=True):
                # Who may be in the United States is treated as if.
                country = (member.contact or {}).get("country") or "US"
                row.extend(LIMITED if country.upper() == "US" else UNLIMITED)
        # The client takes ten times as long to write it as JSON.
        payload = msgspec.json.encode({"schema": schema, "is_raw": True, "data": rows})
        return Encoded(_quoted(payload.decode()).decode())

    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Put the people into the audience."""
        return self._users(audience, batch, "add")

    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Nothing to tell Meta: who a person is has not changed, and there are no fields."""
        return Answer()

    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Take the people out of the audience."""
        try:
            # As a DELETE, the client puts everybody into the address of the request.
            return self._users(audience, batch, "remove", method="DELETE")
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

    def _users(
        self,
        audience: RemoteAudience,
        batch: Batch,
        operation: Operation,
        **options: Any,
    ) -> Answer:
        if batch.session:
            options["session"] = {
                "session_id": batch.session.session_id,
                "batch_seq": batch.session.sequence,
                "last_batch_flag": batch.session.is_last,
                "estimated_num_total": batch.session.total,
            }
        answer = self._call(
            "POST",
            audience.audience_id,
            "users",
            payload=batch.prepared or self.prepare(operation, batch.members),
            **options,
        )
        expected = len(batch.members) + (batch.session.received_before if batch.session else 0)
        received = _number(answer.get("num_received"))
        if received < expected:
            raise Retry(f"Meta says it received {received} people where {expected} were sent")
        return Answer(
            rejections=_invalid_entries(batch, answer.get("invalid_entry_samples") or ()),
            vendor={
                "batch_seq": batch.session.sequence if batch.session else 1,
                "num_received": received,
                "num_invalid_entries": _number(answer.get("num_invalid_entries")),
            },
        )

    def _find(self, name: str) -> dict[str, Any] | None:
        """The audience of that name as Meta lists it."""
        options: dict[str, Any] = {"fields": "id,name,is_value_based", "limit": PAGE}
        while True:
            answer = self._call("GET", self._account, "customaudiences", **options)
            for found in answer.get("data", ()):
                if found["name"] == name:
                    return dict(found)
            paging = answer.get("paging", {})
            if "next" not in paging:
                return None
            options["after"] = paging["cursors"]["after"]

    def _audience_named(self, name: str, is_value_based: bool) -> str:
        if found := self._find(name):
            if bool(found.get("is_value_based")) != is_value_based:
                kind = "" if is_value_based else "not "
                raise Stop(
                    f"Meta's audience {name} would have to be {kind}value-based, which cannot be "
                    "changed: delete it there, or give ours another name"
                )
            return str(found["id"])
        options: dict[str, Any] = {"is_value_based": True} if is_value_based else {}
        created = self._call(
            "POST",
            self._account,
            "customaudiences",
            name=name,
            subtype="CUSTOM",
            customer_file_source="USER_PROVIDED_ONLY",
            description="Kept in step by Regulars.",
            **options,
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
            # The client would put the token into every address, and addresses are logged.
            del session.requests.params["access_token"]
            session.requests.headers["Authorization"] = f"Bearer {self._token}"
            if self._graph:
                session.GRAPH = self._graph
            session.requests.request = partial(_form_sent, session.requests.request)
            self._threads.api = FacebookAdsApi(session)
        return self._threads.api

    def _call(self, verb: str, *path: str, **parameters: Any) -> Told:
        """Call the Graph API; only a JSON object without an error is an answer."""
        with self.take_turn():
            return self._answered(verb, path, parameters)

    def _answered(self, verb: str, path: tuple[str, ...], parameters: dict[str, Any]) -> Told:
        try:
            answer = self._api.call(verb, path, params=parameters)
        except FacebookRequestError as error:
            raise _failure(error) from None
        except requests.RequestException as error:
            if _was_cut(error):
                kind = type(error).__name__
                raise ConnectionDropped(f"Meta cut the connection ({kind})") from None
            raise Retry(f"Meta could not be reached ({type(error).__name__})") from None
        except (AttributeError, TypeError, ValueError):
            # The client stumbles over answers that are neither results nor proper errors.
            raise Retry("Meta's answer cannot be read") from None
        body = answer.json()
        # The client takes an error page for a success, whatever its status.
        if answer.status() >= 400 or not isinstance(body, dict):
            raise Retry(
                f"Meta's answer is not JSON ({answer.status()})", _seconds(answer.headers())
            )
        if seconds := _regained_after(answer.headers()):
            self.hold_up(seconds)
        return Told(body)


def _number(told: object) -> int:
    """A count that Meta tells; 0 for what is none, whose text is not repeated."""
    return told if isinstance(told, int) else 0


def _keys(member: Member) -> list[str]:
    return member.identity.split(SEPARATOR)


def _value(value: object) -> float:
    """What a person is worth to us; nothing if we do not know."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return max(0, round(value, 2))


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
        keys = row[: len(SCHEMA)] if isinstance(row, list) else [row]
        named.add(SEPARATOR.join(map(str, keys)))
    return tuple(
        Rejection(m.customer_id, "invalid_entry", "Meta cannot read the keys", "fix_data")
        for m in batch.members
        if m.identity in named
    )


def _was_cut(error: requests.RequestException) -> bool:
    """Whether there was a connection, and it was cut."""
    if not isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return False
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(reason, NewConnectionError | ConnectTimeoutError | ProxyError)


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
    if (code, subcode) == SEED_TOO_SMALL:
        return Stop(
            f"the seed has fewer than a hundred people of one country ({numbers}): wait until it "
            "has been filled, which takes Meta up to a day"
        )
    if (code, subcode) == TOO_SMALL:
        return TooSmall(f"the audience would become too small ({numbers})")
    if code in BUSY or (code, subcode) == SESSION_BUSY or error.api_transient_error():
        return Retry(f"Meta is busy or limits calls ({numbers})", _seconds(error.http_headers()))
    if code in REFUSED or status == 401:
        return Reauthorise(f"Meta refuses the access token or a permission ({numbers})")
    if code is None or status >= 500:
        return Retry(f"Meta failed ({status})", _seconds(error.http_headers()))
    return Stop(f"Meta refuses the call ({status}, code {numbers})")


def _seconds(headers: Mapping[str, str] | None) -> float | None:
    """How long to wait: until the account is let in again, else Retry-After."""
    return _regained_after(headers or {}) or retry_after(headers or {})


def _regained_after(headers: Mapping[str, str]) -> float | None:
    """How long the account is limited, from the business use case header's minutes."""
    lowered = {name.lower(): value for name, value in headers.items()}
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
