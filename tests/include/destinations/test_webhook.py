from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from msgspec import structs

from include.connections import Credentials
from include.destinations.base import Batch, BatchRefused
from include.destinations.webhook import Webhook
from include.errors import BadInput, Reauthorise, Retry, Stop
from tests.include.destinations.contract import DestinationContract, addressed, identity
from tests.sandbox_server import Sandbox

SECRET = "sandbox-receiver-secret-of-no-value"


class TestWebhook(DestinationContract):
    destination = Webhook

    def open(self, sandbox: Sandbox, password: str = SECRET) -> Webhook:
        password = password.ljust(32, "!")
        return Webhook(Credentials(password, extra={"url": sandbox.receiver_url}))

    def there(self, sandbox: Sandbox) -> set[str]:
        return set(self.held(sandbox))

    def held(self, sandbox: Sandbox) -> dict[str, Any]:
        return sandbox.truth()["receiver"]["audiences"][self.audience_name]["members"]

    def test_a_member_carries_the_contact_and_the_declared_fields(self, sandbox: Sandbox):
        opened = self.open(sandbox)
        fields = {"vip_tier": "text", "days_quiet": "number"}
        audience = opened.ensure_audience(self.audience_name, fields, None)
        [ann] = addressed(
            Webhook, {"email": " Ann@Shop.test", "phone_key": "+14155552671", "first_name": "Ann"}
        )
        payload = {"vip_tier": "x" * 5000, "days_quiet": 41}

        opened.add(audience, Batch(1, [structs.replace(ann, payload=payload)]))
        opened.update(
            audience, Batch(2, [structs.replace(ann, payload=payload | {"days_quiet": 42})])
        )

        assert self.held(sandbox)[ann.identity] == {
            "identity": hashlib.sha256(b"ann@shop.test").hexdigest(),
            "customer_id": ann.customer_id,
            "email": "Ann@Shop.test",
            "phone": "+14155552671",
            "first_name": "Ann",
            "fields": {"vip_tier": "x" * 1000, "days_quiet": 42},
        }
        assert sandbox.truth()["receiver"]["audiences"][self.audience_name]["fields"] == fields

    def test_a_replayed_batch_has_its_key_again_and_takes_effect_once(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        batch = Batch(1, self.members(range(2)), plan_id="first")
        opened.add(audience, batch)
        opened.add(audience, batch)
        opened.add(audience, replace(batch, plan_id="second"))
        opened.add(audience, replace(batch, members=batch.members[:1]))

        assert sorted(sandbox.truth()["receiver"]["deliveries"].values()) == [1, 1, 2]
        assert sandbox.truth()["receiver"]["audiences"][self.audience_name]["calls"] == 3

    def test_a_row_that_the_receiver_names_is_rejected_alone(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        good, fake = addressed(Webhook, {"email": "a@shop.test"}, {"email": "b@example.com"})

        [rejection] = opened.add(audience, Batch(1, [good, fake])).rejections

        assert (rejection.customer_id, rejection.code) == (fake.customer_id, "fake_address")
        assert rejection.kind == "fix_data"
        assert self.there(sandbox) == {good.identity}

    def test_of_the_receivers_words_nothing_but_a_plain_code_is_kept(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        [ann] = self.members([1])
        row = {"identity": ann.identity, "code": "no person1@shop.test", "class": "who knows"}
        sandbox.fault(action="status", status=200, body={"rejected": [row, "x", {}]})

        [rejection] = opened.add(audience, Batch(1, [ann])).rejections

        assert (rejection.code, rejection.kind) == ("refused", "fix_data")
        assert "@" not in rejection.reason

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, BatchRefused),
            (413, BatchRefused),
            (422, BatchRefused),
            (401, Reauthorise),
            (403, Reauthorise),
            (404, Stop),
            (410, Stop),
            (302, Stop),
            (408, Retry),
            (503, Retry),
        ],
    )
    def test_an_answer_is_judged_by_its_status(
        self, sandbox: Sandbox, status: int, error: type[Exception]
    ):
        opened, audience = self.ready(sandbox)
        sandbox.fault(action="status", status=status, body={"error": "x"})
        with pytest.raises(error) as raised:
            opened.add(audience, Batch(1, self.members([1])))
        assert type(raised.value) is error

    def test_a_busy_receiver_says_when_to_come_back(self, sandbox: Sandbox):
        opened, audience = self.ready(sandbox)
        sandbox.fault(action="status", status=429, headers={"Retry-After": "7"})
        with pytest.raises(Retry) as raised:
            opened.add(audience, Batch(1, self.members([1])))
        assert raised.value.after_seconds == 7


class _Recorder(BaseHTTPRequestHandler):
    calls: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.calls.append((self.path, dict(self.headers), body))
        status = 302 if self.path.startswith("/elsewhere") else 202
        self.send_response(status)
        self.send_header("Location", "/here")
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"Accepted")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def recorder() -> Iterator[str]:
    """A receiver of another make, that answers in plain text."""
    _Recorder.calls.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_call_is_signed_over_its_time_and_its_body_and_plain_text_is_a_yes():
    with recorder() as url:
        opened = Webhook(Credentials(SECRET, extra={"url": f"{url}/here/?code=1"}))
        works, message = opened.test_connection()
    assert works, message
    [(path, headers, body)] = _Recorder.calls
    assert path == "/here/?code=1"
    instant, signature = headers["Regulars-Signature"].split(",")
    expected = hmac.new(SECRET.encode(), instant[2:].encode() + b"." + body, hashlib.sha256)
    assert signature == f"v1={expected.hexdigest()}"
    assert abs(int(instant[2:]) - time.time()) < 60
    assert SECRET not in str(headers)


def test_a_redirect_is_not_followed():
    with recorder() as url:
        opened = Webhook(Credentials(SECRET, extra={"url": f"{url}/elsewhere"}))
        with pytest.raises(Stop, match="elsewhere"):
            opened.ensure_audience("a", {}, None)
    assert len(_Recorder.calls) == 1


def test_the_account_tells_receivers_apart_without_their_addresses():
    first, second = (
        Webhook(Credentials(SECRET, extra={"url": f"https://hooks.test/{token}"})).account
        for token in ("token1", "token2")
    )
    assert first != second
    assert first.startswith("hooks.test-")
    assert "token1" not in first


def test_who_cannot_be_reached_is_worth_another_try():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/secret"
        with pytest.raises(Retry) as raised:
            Webhook(Credentials(SECRET, extra={"url": url})).ensure_audience("a", {}, None)
    assert "secret" not in str(raised.value)


def test_the_identity_is_the_hash_of_the_normalised_address():
    expected = hashlib.sha256(b"mary@example.com").hexdigest()
    assert identity(Webhook, email="  MARY@Example.com ") == expected


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        (Credentials(None, extra={"url": "https://a.test"}), Reauthorise),
        (Credentials("short", extra={"url": "https://a.test"}), BadInput),
        (Credentials(SECRET), BadInput),
        (Credentials(SECRET, extra={"url": "http://a.test"}), BadInput),
    ],
    ids=["no secret", "guessable secret", "no address", "plain http"],
)
def test_a_short_connection_says_what_it_lacks(credentials: Credentials, error: type[Exception]):
    with pytest.raises(error, match="webhook_default"):
        Webhook(credentials)
