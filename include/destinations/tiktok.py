"""TikTok: an audience is a customer-file custom audience of one advertiser.

People go as files of hashes, one kind of identifier to a file, which an audience is made from,
appended, or removed by; TikTok needs one to two days to match them. There is no audience without
a file: the first people who are added make it. https://business-api.tiktok.com/portal/docs

The official client reads uploads from files on the disk only, follows redirects with the token, and
keeps an error's number in its text alone; so these few calls are made without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import requests

from include.connections import Credentials, checked_url
from include.destinations.base import (
    Answer,
    Batch,
    BatchRefused,
    Destination,
    FieldKind,
    Member,
    Operation,
    Outcome,
    RemoteAudience,
)
from include.errors import BadInput, Reauthorise, RegularsError, Retry, Stop
from include.retry_after import retry_after

HOST = "business-api.tiktok.com"
VERSION = "open_api/v1.3"
TIMEOUT_SECONDS = 120
PAGE = 100
SEPARATOR = ":"
# The kinds of identifiers, in the order in which an identity names them.
KINDS = ("EMAIL_SHA256", "PHONE_SHA256")
NOT_MADE_YET = ""

# https://business-api.tiktok.com/portal/docs?id=1737172488964097, and the official client's list
BUSY = frozenset({40016, 40050, 40100, 40132, 40133, 40200, 40201, 40202, *range(50000, 60000)})
REFUSED = frozenset({40001, 40003, *range(40101, 40132), 40300, 40301, 40302, 40309})
GONE = frozenset({40007})
MALFORMED = frozenset({40061, 40062, 40900, *range(40905, 40911), 40915})
TOO_MANY_AUDIENCES = 40011


@dataclass(frozen=True, slots=True)
class File:
    """Hashes of one kind, one on a line, and by what TikTok sees that they are whole."""

    kind: str
    content: bytes = field(repr=False)
    signature: str


class TikTok(Destination):
    """Fill custom audiences. A file a batch, one after the other: the first makes the audience."""

    name = "tiktok"
    batch_size = 50_000
    carries_fields = False
    contacts_sql = r"""
        with

        hashed as (
            select
                customer_id,
                case
                    when regexp_full_match(trim(email), '[^@\s]+@[^@\s]+\.[^@\s]+')
                        then sha256(lower(trim(email)))
                end as email_hash,
                -- E.164 with its plus sign
                sha256(phone_key) as phone_hash
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
        token = credentials.require_password(self.connection())
        self._advertiser_id = credentials.require_option("advertiser_id", self.connection())
        if not re.fullmatch(r"\d+", self._advertiser_id):
            raise BadInput(f"connection {self.connection()}: advertiser_id must be a number")
        base_url = credentials.extra.get("base_url") or f"https://{HOST}"
        self._url = f"{checked_url(base_url, self.connection(), (HOST,))}/{VERSION}"
        self._session = requests.Session()
        self._session.headers["Access-Token"] = token
        self._made: dict[str, str] = {}

    @property
    def account(self) -> str:
        """The advertiser's id."""
        return self._advertiser_id

    def test_connection(self) -> tuple[bool, str]:
        """List the advertiser's audiences."""
        try:
            self._call("GET", "dmp/custom_audience/list/", page=1, page_size=1)
        except RegularsError as error:
            return False, str(error)
        return True, f"Connected to the advertiser {self._advertiser_id}."

    def ensure_audience(
        self, name: str, fields: Mapping[str, FieldKind], known_id: str | None
    ) -> RemoteAudience:
        """The audience of that name, or one that the first people will make."""
        if not known_id:
            self._made[name] = self._audience_named(name)
        return RemoteAudience(known_id or self._made[name], name)

    def prepare(self, operation: Operation, members: Sequence[Member]) -> list[File]:
        """The people's files."""
        return list(_files(members))

    def add(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Append the people to the audience, or make it of them."""
        people = batch.prepared or self.prepare("add", batch.members)
        files = [(file.kind, self._upload(file)) for file in people]
        audience_id = self._audience_id(audience)
        if audience_id == NOT_MADE_YET and files:
            kind, first = files.pop(0)
            audience_id = self._create(audience.name, kind, first)
        if files:
            self._update(audience_id, "APPEND", [path for _, path in files])
        return Answer(vendor={"custom_audience_id": audience_id})

    def update(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Nothing to tell TikTok: who a person is has not changed, and there are no fields."""
        return Answer()

    def remove(self, audience: RemoteAudience, batch: Batch) -> Answer:
        """Remove the people from the audience, if it was ever made."""
        audience_id = self._audience_id(audience)
        if audience_id == NOT_MADE_YET:
            return Answer()
        people = batch.prepared or self.prepare("remove", batch.members)
        files = [self._upload(file) for file in people]
        self._update(audience_id, "REMOVE", files)
        return Answer(vendor={"custom_audience_id": audience_id})

    def outcome(self, vendor: Mapping[str, str | int]) -> Outcome | None:
        """See `Destination.outcome`; TikTok tells of an audience, not of a batch."""
        audience_id = vendor.get("custom_audience_id")
        if not audience_id:
            return None
        found = self._call(
            "GET", "dmp/custom_audience/get/", custom_audience_ids=f'["{audience_id}"]'
        )
        for entry in found.get("list") or ():
            details = entry.get("audience_details") or {}
            return Outcome("done" if details.get("is_valid") else "processing")
        return Outcome("failed", {"audience_gone": 1})

    def _audience_id(self, audience: RemoteAudience) -> str:
        """The id, also of an audience that was made since it was asked for."""
        if audience.audience_id != NOT_MADE_YET:
            return audience.audience_id
        if audience.name not in self._made:
            self._made[audience.name] = self._audience_named(audience.name)
        return self._made[audience.name]

    def _audience_named(self, name: str) -> str:
        page = pages = 1
        while page <= pages:
            found = self._call("GET", "dmp/custom_audience/list/", page=page, page_size=PAGE)
            for entry in found.get("list") or ():
                if entry.get("name") == name:
                    return str(entry["audience_id"])
            pages = int((found.get("page_info") or {}).get("total_page") or 0)
            page += 1
        return NOT_MADE_YET

    def _upload(self, file: File) -> str:
        found = self._call(
            "POST",
            "dmp/custom_audience/file/upload/",
            file=("members.csv", file.content, "text/csv"),
            file_signature=file.signature,
            calculate_type=file.kind,
        )
        if not found.get("file_path"):
            raise Retry("TikTok's answer names no file")
        return str(found["file_path"])

    def _create(self, name: str, kind: str, file_path: str) -> str:
        # Unknown until it is answered: a replay looks for the name again.
        self._made.pop(name, None)
        found = self._call(
            "POST",
            "dmp/custom_audience/create/",
            custom_audience_name=name,
            file_paths=[file_path],
            calculate_type=kind,
        )
        if not found.get("custom_audience_id"):
            raise Retry("TikTok's answer names no audience")
        self._made[name] = str(found["custom_audience_id"])
        return self._made[name]

    def _update(
        self, audience_id: str, action: Literal["APPEND", "REMOVE"], file_paths: Sequence[str]
    ) -> None:
        self._call(
            "POST",
            "dmp/custom_audience/update/",
            custom_audience_id=audience_id,
            action=action,
            file_paths=file_paths,
        )

    def _call(self, method: str, path: str, **parameters: Any) -> Mapping[str, Any]:
        """Call the API; the `data` of an answer whose code is 0."""
        told = {"advertiser_id": self._advertiser_id, **parameters}
        file = told.pop("file", None)
        options: dict[str, Any]
        if method == "GET":
            options = {"params": told}
        elif file:
            options = {"data": told, "files": {"file": file}}
        else:
            options = {"json": told}
        with self.take_turn():
            return self._answered(method, path, options)

    def _answered(self, method: str, path: str, options: dict[str, Any]) -> Mapping[str, Any]:
        try:
            answer = self._session.request(
                method,
                f"{self._url}/{path}",
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                **options,
            )
        except requests.RequestException as error:
            raise Retry(f"TikTok could not be reached ({type(error).__name__})") from None
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("code"), int):
            raise Retry(f"TikTok's answer cannot be read ({answer.status_code})")
        if body["code"] != 0 or answer.status_code >= 400:
            raise _failure(body["code"], answer)
        return body.get("data") or {}


def _files(members: Sequence[Member]) -> Iterator[File]:
    """A file of each kind that there are any hashes of, one on a line."""
    for place, kind in enumerate(KINDS):
        # One kind at a time: a batch is large, and its hashes would be there twice.
        hashes = (member.identity.split(SEPARATOR)[place] for member in members)
        if lines := "\n".join(filter(None, hashes)).encode():
            yield File(kind, lines, hashlib.md5(lines, usedforsecurity=False).hexdigest())


def _failure(code: int, answer: requests.Response) -> RegularsError:
    """The error for a refused call, by the code in its body; no text of TikTok's is kept."""
    status = answer.status_code
    if code in GONE:
        return Stop(
            f"TikTok no longer has this audience ({code}): restore it there, or forget what we "
            "believe it holds"
        )
    if code == TOO_MANY_AUDIENCES:
        return Stop(f"the advertiser has as many audiences as TikTok allows ({code})")
    if code in REFUSED or status == 401:
        return Reauthorise(f"TikTok refuses the access token or a permission ({code})")
    if code in BUSY or status == 429 or status >= 500:
        return Retry(f"TikTok is busy or limits calls ({code})", retry_after(answer.headers))
    if code in MALFORMED:
        return BatchRefused(f"TikTok refuses a file ({code})", code=str(code))
    return Stop(f"TikTok refuses a call ({status}, code {code})")
