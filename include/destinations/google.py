"""Google: an audience is a Customer Match list of one Google Ads account.

Lists are filled through the Data Manager API, which takes a batch at once and works on it later:
its answer is a request id, and `outcome` asks what became of that.
https://developers.google.com/data-manager/api/devguides/audiences
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec
import requests
from google.ads.datamanager_v1 import (
    IngestAudienceMembersResponse,
    IngestionServiceClient,
    RetrieveRequestStatusRequest,
    UserListServiceClient,
)
from google.ads.datamanager_v1.services.ingestion_service.transports import (
    IngestionServiceRestTransport,
)
from google.ads.datamanager_v1.services.user_list_service.transports import (
    UserListServiceRestTransport,
)
from google.api_core.exceptions import GoogleAPICallError, from_http_response
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2 import credentials as oauth2
from google.oauth2 import service_account
from google.protobuf.json_format import ParseError

from include.connections import Credentials, checked_url
from include.destinations.base import (
    Answer,
    Batch,
    BatchRefused,
    Destination,
    FieldKind,
    Member,
    Outcome,
    Rejection,
    RemoteAudience,
)
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop
from include.retry_after import retry_after

# Their types, which Google's packages do not tell.
_refusal: Callable[[requests.Response], GoogleAPICallError] = from_http_response
_access_token: Callable[[str], Any] = oauth2.Credentials

HOST = "datamanager.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/datamanager"
TIMEOUT_SECONDS = 120
SEPARATOR = ":"
# The longest that Customer Match keeps a member; who stays in is not sent again before that.
MEMBERSHIP = "46656000s"
TERMS = "https://support.google.com/adspolicy/answer/6299717"

# https://developers.google.com/data-manager/api/reference/rest/v1/ErrorReason
TERMS_NOT_SIGNED = "TERMS_AND_CONDITIONS_NOT_SIGNED"
GONE = frozenset({"NOT_FOUND", "INVALID_USER_LIST_ID", "INVALID_DESTINATION"})
NOT_ALLOWED = "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"
MEMBER = re.compile(r"audience_?[mM]embers\[(\d+)\]")

Result = TypeVar("Result")


class _NamedRows(Stop):
    """A request refused for rows that Google names, by their place in it."""

    def __init__(self, places: frozenset[int], reason: str) -> None:
        super().__init__(f"Google refuses {len(places)} rows ({reason})")
        self.places = places
        self.reason = reason


class Google(Destination):
    """Fill Customer Match lists."""

    name = "google"
    batch_size = 10_000
    connections = 4
    # 300 calls a minute: https://developers.google.com/data-manager/api/devguides/limits
    calls_per_second = 5
    carries_fields = False
    contacts_sql = r"""
        with

        addresses as (
            select
                customer_id,
                phone_key,
                has_ads_consent,
                lower(trim(email)) as address,
                split_part(lower(trim(email)), '@', 1) as local_part,
                split_part(lower(trim(email)), '@', 2) as domain
            from contacts
        ),

        hashed as (
            select
                customer_id,
                has_ads_consent,
                case
                    when not regexp_full_match(address, '[^@\s]+@[^@\s]+\.[^@\s]+') then null
                    -- Google itself does not tell these spellings of one mailbox apart
                    when domain in ('gmail.com', 'googlemail.com')
                        then sha256(concat(
                            replace(split_part(local_part, '+', 1), '.', ''), '@', domain
                        ))
                    else sha256(address)
                end as email_hash,
                sha256(phone_key) as phone_hash
            from addresses
        )

        select
            customer_id,
            case
                when email_hash is not null or phone_hash is not null
                    then concat(email_hash, ':', phone_hash)
            end as identity,
            {
                'consent': case
                    when has_ads_consent then 'CONSENT_GRANTED' else 'CONSENT_DENIED'
                end
            } as contact
        from hashed
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._secret = credentials.require_password(self.connection())
        self._customer_id = self._account_id("customer_id")
        self._login_customer_id = self._account_id("login_customer_id", self._customer_id)
        self._has_accepted_terms = credentials.extra.get("customer_match_terms") == "accepted"
        base_url = credentials.extra.get("base_url") or f"https://{HOST}"
        address = checked_url(base_url, self.connection(), (HOST,))
        self._scheme, self._host = address.split("://", 1)

    @property
    def account(self) -> str:
        """The Google Ads account's number."""
        return self._customer_id

    def test_connection(self) -> tuple[bool, str]:
        """Look for lists in the account, and whether the terms were accepted."""
        try:
            self._call(self._lists.list_user_lists, {"parent": self._parent, "page_size": 1})
        except RegularsError as error:
            return False, str(error)
        if not self._has_accepted_terms:
            return False, f"Accept the Customer Match terms, and say so in the form: {TERMS}"
        return True, f"Connected to the Google Ads account {self._customer_id}."

    def ensure_audience(
        self, name: str, fields: Mapping[str, FieldKind], known_id: str | None
    ) -> RemoteAudience:
        """The Customer Match list of that name. Google's lists carry no fields."""
        return RemoteAudience(known_id or self._list_named(name), name)

    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Hand the people in; whom Google names as malformed is left out."""

        def ingest(members: Sequence[Member]) -> str:
            request = {
                **self._request(audience),
                "audienceMembers": [
                    _written({**_person(member), "consent": _consent(member)}) for member in members
                ],
            }
            if self._has_accepted_terms:
                request["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
            return self._hand_in("ingest", request)

        return _without_named_rows(batch, ingest)

    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Nothing to tell Google: who a person is has not changed, and there are no fields."""
        return Answer()

    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Take the people out of the list."""

        def remove(members: Sequence[Member]) -> str:
            request = {
                **self._request(audience),
                "audienceMembers": [_written(_person(member)) for member in members],
            }
            return self._hand_in("remove", request)

        return _without_named_rows(batch, remove)

    def outcome(self, vendor: Mapping[str, str | int]) -> Outcome | None:
        """See `Destination.outcome`; Google needs up to a day."""
        if not vendor.get("request_id"):
            return None
        request = RetrieveRequestStatusRequest(request_id=vendor["request_id"])
        answer = self._call(self._ingestion.retrieve_request_status, request)
        states = [status.request_status.name for status in answer.request_status_per_destination]
        if not states or "PROCESSING" in states or "REQUEST_STATUS_UNKNOWN" in states:
            return Outcome("processing")
        failed: dict[str, int] = {}
        for status in answer.request_status_per_destination:
            for error in status.error_info.error_counts:
                code = error.reason.name.removeprefix("PROCESSING_ERROR_REASON_").lower()
                failed[code] = failed.get(code, 0) + error.record_count
        return Outcome("failed" if set(states) == {"FAILED"} else "done", failed)

    def _account_id(self, option: str, otherwise: str | None = None) -> str:
        value = self._credentials.extra.get(option) or otherwise
        if value is None:
            value = self._credentials.require_option(option, self.connection())
        if not re.fullmatch(r"\d+", digits := value.replace("-", "")):
            raise BadInput(f"connection {self.connection()}: {option} must be like 123-456-7890")
        return digits

    @property
    def _parent(self) -> str:
        return f"accountTypes/GOOGLE_ADS/accounts/{self._customer_id}"

    def _request(self, audience: RemoteAudience) -> dict[str, Any]:
        return {
            "destinations": [
                {
                    "loginAccount": _account(self._login_customer_id),
                    "operatingAccount": _account(self._customer_id),
                    "productDestinationId": audience.audience_id,
                }
            ],
            "encoding": "HEX",
        }

    def _hand_in(self, verb: str, request: Mapping[str, Any]) -> str:
        """Send members over the client's session; the id of the request.

        The client takes seconds of CPU to write ten thousand people as JSON.
        """
        transport: Any = self._ingestion.transport

        def send(
            *, request: bytes, retry: None, timeout: float, metadata: Sequence[tuple[str, str]]
        ) -> str:
            answer = transport._session.post(
                f"{self._scheme}://{self._host}/v1/audienceMembers:{verb}",
                data=request,
                headers={"Content-Type": "application/json", **dict(metadata)},
                timeout=timeout,
            )
            if answer.status_code >= 400:
                raise _refusal(answer)
            # Both verbs are answered alike.
            told = IngestAudienceMembersResponse.from_json(
                answer.content, ignore_unknown_fields=True
            )
            return str(told.request_id)

        return _request_id(self._call(send, msgspec.json.encode(request)))

    def _list_named(self, name: str) -> str:
        found = self._call(
            self._lists.list_user_lists,
            {"parent": self._parent, "filter": f'display_name = "{name}"'},
        )
        for user_list in found.user_lists:
            if user_list.display_name == name:
                return str(user_list.id)
        contact_list = {
            "display_name": name,
            "description": "Kept in step by Regulars.",
            "membership_status": "OPEN",
            "membership_duration": MEMBERSHIP,
            "ingested_user_list_info": {
                "upload_key_types": ["CONTACT_ID"],
                "contact_id_info": {"data_source_type": "DATA_SOURCE_TYPE_FIRST_PARTY"},
            },
        }
        created = self._call(
            self._lists.create_user_list, {"parent": self._parent, "user_list": contact_list}
        )
        return str(created.id)

    @cached_property
    def _ingestion(self) -> IngestionServiceClient:
        transport = IngestionServiceRestTransport(
            host=self._host, url_scheme=self._scheme, credentials=self._signed_in()
        )
        return IngestionServiceClient(transport=_without_redirects(transport))

    @cached_property
    def _lists(self) -> UserListServiceClient:
        transport = UserListServiceRestTransport(
            host=self._host, url_scheme=self._scheme, credentials=self._signed_in()
        )
        return UserListServiceClient(transport=_without_redirects(transport))

    def _signed_in(self) -> Any:
        """A service account's key, a user's refresh token, or else an access token as it is."""
        if not self._secret.lstrip().startswith("{"):
            return _access_token(self._secret)
        try:
            info = json.loads(self._secret)
            kind = service_account if info.get("type") == "service_account" else oauth2
            read = getattr(kind.Credentials, f"from_{info['type']}_info")
            return read(info, scopes=[SCOPE])
        except (ValueError, KeyError, AttributeError):
            # The original error quotes the key.
            raise BadInput(
                f"connection {self.connection()}: the password is neither the JSON key of a "
                "service account nor that of an authorised user"
            ) from None

    def _call(self, method: Callable[..., Result], request: Any) -> Result:
        """Call the client, which is not to retry by itself."""
        metadata: tuple[tuple[str, str], ...] = ()
        if self._login_customer_id != self._customer_id:
            login = f"accountTypes/GOOGLE_ADS/accounts/{self._login_customer_id}"
            metadata = (("login-account", login),)
        with self.take_turn():
            return self._answered(method, request, metadata)

    @staticmethod
    def _answered(
        method: Callable[..., Result], request: Any, metadata: tuple[tuple[str, str], ...]
    ) -> Result:
        try:
            return method(request=request, retry=None, timeout=TIMEOUT_SECONDS, metadata=metadata)
        except GoogleAPICallError as error:
            raise _failure(error) from None
        except requests.TooManyRedirects:
            raise Stop("Google's address sends us elsewhere: correct base_url") from None
        except (TransportError, requests.RequestException) as error:
            raise Retry(f"Google could not be reached ({type(error).__name__})") from None
        except GoogleAuthError as error:
            raise Reauthorise(f"Google refuses the credentials ({type(error).__name__})") from None
        except (ParseError, AttributeError, TypeError, ValueError):
            # The client stumbles over answers that are neither results nor proper errors.
            raise Retry("Google's answer cannot be read") from None


def _without_redirects(transport: Any) -> Any:
    """The credentials must not travel on to another host."""
    transport._session.max_redirects = 0
    return transport


def _account(number: str) -> dict[str, str]:
    return {"accountType": "GOOGLE_ADS", "accountId": number}


def _person(member: Member) -> dict[str, Any]:
    email, _, phone = member.identity.partition(SEPARATOR)
    named = (("emailAddress", email), ("phoneNumber", phone))
    return {"userData": {"userIdentifiers": [{kind: value} for kind, value in named if value]}}


def _written(person: Mapping[str, Any]) -> msgspec.Raw:
    """One at a time: ten thousand people as dicts take twice the memory, and half as long again."""
    return msgspec.Raw(msgspec.json.encode(person))


def _consent(member: Member) -> dict[str, str]:
    status = str((member.contact or {}).get("consent") or "CONSENT_DENIED")
    return {"adUserData": status, "adPersonalization": status}


def _request_id(told: str) -> str:
    if not told:
        raise Retry("Google's answer names no request")
    return told


def _without_named_rows(batch: Batch, send: Callable[[Sequence[Member]], str]) -> Answer:
    """Send; if Google refuses rows and names them, send the others, once."""
    members = batch.members
    rejections: tuple[Rejection, ...] = ()
    try:
        request_id = send(members)
    except _NamedRows as refusal:
        rejections = tuple(
            Rejection(member.customer_id, refusal.reason, "Google cannot read the keys", "fix_data")
            for place, member in enumerate(members)
            if place in refusal.places
        )
        left = [m for place, m in enumerate(members) if place not in refusal.places]
        if not left:
            return Answer(rejections)
        try:
            request_id = send(left)
        except _NamedRows as again:
            raise BatchRefused(str(again), code=again.reason) from None
    return Answer(rejections, {"request_id": request_id})


def _failure(error: GoogleAPICallError) -> RegularsError:
    """The error for a failed call, by its status and reasons; no text of Google's is kept."""
    status = int(error.code or 0)
    details = [detail for detail in error.details or () if isinstance(detail, dict)]
    violations = [v for detail in details for v in detail.get("fieldViolations") or ()]
    reasons = {str(v.get("reason")) for v in violations if v.get("reason")}
    reasons |= {str(detail["reason"]) for detail in details if detail.get("reason")}
    if status in (408, 429) or status >= 500 or (status == 403 and not details):
        return Retry(f"Google is busy or limits calls ({status})", _seconds(error, details))
    if TERMS_NOT_SIGNED in reasons:
        return Stop(f"accept the Customer Match terms at {TERMS}, and say so in the connection")
    if NOT_ALLOWED in reasons:
        return Stop(f"Google does not let this account use Customer Match ({NOT_ALLOWED})")
    if status in (401, 403):
        return Reauthorise(f"Google refuses the credentials or a permission ({status})")
    if reasons & GONE or status == 404:
        return Stop(
            f"Google no longer has this list ({status}): restore it there, or forget what we "
            "believe it holds"
        )
    places = frozenset(
        int(found[1]) for v in violations if (found := MEMBER.match(str(v.get("field"))))
    )
    reason = next((str(v["reason"]).lower() for v in violations if v.get("reason")), "invalid")
    if places:
        return _NamedRows(places, reason)
    if status == 400:
        return BatchRefused(f"Google refuses a batch ({', '.join(sorted(reasons))})", code=reason)
    return Stop(f"Google refuses a call ({status})")


def _seconds(error: GoogleAPICallError, details: Sequence[Mapping[str, Any]]) -> float | None:
    """How long to wait: the RetryInfo of the answer, else its Retry-After."""
    for detail in details:
        delay = str(detail.get("retryDelay", ""))
        if re.fullmatch(r"\d+(\.\d+)?s", delay):
            return float(delay[:-1])
    return retry_after(getattr(error.response, "headers", None) or {})
