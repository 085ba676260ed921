from __future__ import annotations

import hashlib
import hmac
import json
from email import message_from_bytes, policy

import pytest

from include.alerts import Message, open_channel
from include.connections import Credentials
from include.errors import BadInput, Retry, Stop
from tests.listeners import listen_to_http, listen_to_smtp
from tests.sandbox_server import closed_port

MESSAGE = Message("vips fails", "13 < 15 & <!channel>", "failing", ("sync_audiences", "vips"))
SECRET = "canary-secret-3e5f0a"


def test_slack_is_told_at_its_address_and_calls_nobody_out():
    with listen_to_http() as slack:
        channel = Credentials(f"{slack.url}/services/{SECRET}", extra={"kind": "slack"})
        open_channel(channel).tell(MESSAGE)
    [call] = slack.requests
    assert call.path == f"/services/{SECRET}"
    assert json.loads(call.body) == {"text": "*vips fails*\n13 &lt; 15 &amp; &lt;!channel&gt;"}


def test_a_webhook_is_called_with_a_signature_that_only_the_secret_makes():
    with listen_to_http() as webhook:
        known = Credentials(SECRET, host=f"{webhook.url}/alerts", extra={"kind": "webhook"})
        open_channel(known).tell(MESSAGE)
    [call] = webhook.requests
    fields = dict(part.split("=") for part in call.headers["X-Regulars-Signature"].split(","))
    signed = f"{fields['t']}.".encode() + call.body
    assert fields["v1"] == hmac.digest(SECRET.encode(), signed, hashlib.sha256).hex()
    assert json.loads(call.body)["subject"] == ["sync_audiences", "vips"]
    assert SECRET not in f"{call.path}{call.headers}{call.body!r}"


def test_a_mail_goes_out_in_one_piece_whatever_its_title_holds():
    told = {"kind": "smtp", "from": "regulars@shop.test", "to": "ann@shop.test, bob@shop.test"}
    message = Message("vips fails\r\nBcc: eve@evil.test", "Zahlen: äöü", "failing")
    with listen_to_smtp() as server:
        open_channel(Credentials(host="127.0.0.1", port=server.port, extra=told)).tell(message)
    mail = message_from_bytes(server.mails[0], policy=policy.default)
    assert mail["Subject"] == "vips fails Bcc: eve@evil.test"
    assert mail["Bcc"] is None
    assert mail["To"] == told["to"]
    assert mail.get_content().strip() == "Zahlen: äöü"


def test_a_mail_server_elsewhere_must_speak_tls(monkeypatch):
    told = {"kind": "smtp", "from": "a@shop.test", "to": "b@shop.test"}
    # Only the name counts: this one is on this machine, and is not taken for it.
    monkeypatch.setattr("include.alerts.channels.is_loopback", lambda host: False)
    with listen_to_smtp() as server:
        channel = open_channel(Credentials(host="127.0.0.1", port=server.port, extra=told))
        with pytest.raises(Retry, match="SMTPNotSupportedError"):
            channel.tell(MESSAGE)
    assert server.mails == []


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 429, 500])
def test_what_is_not_delivered_is_an_error_without_the_address(status: int):
    with listen_to_http() as slack, listen_to_http() as other:
        slack.status, slack.headers = status, {"Location": f"{other.url}/"}
        channel = open_channel(Credentials(f"{slack.url}/{SECRET}", extra={"kind": "slack"}))
        with pytest.raises((Retry, Stop)) as error:
            channel.tell(MESSAGE)
    assert SECRET not in str(error.value)
    assert other.requests == []


def test_a_channel_that_nobody_listens_at_is_busy():
    with closed_port() as port:
        url = f"http://127.0.0.1:{port}/{SECRET}"
        with pytest.raises(Retry) as error:
            open_channel(Credentials(url, extra={"kind": "slack"})).tell(MESSAGE)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("credentials", "missing"),
    [
        (Credentials(SECRET), "kind"),
        (Credentials(SECRET, extra={"kind": "pager"}), "kind must be one of"),
        (Credentials(f"https://evil.test/{SECRET}", extra={"kind": "slack"}), "hooks.slack.com"),
        (Credentials(SECRET, extra={"kind": "webhook"}), "host"),
        (Credentials(SECRET, host="http://x.test", extra={"kind": "webhook"}), "https"),
        (Credentials(SECRET, host="mail.test", extra={"kind": "smtp"}), "from"),
    ],
)
def test_a_connection_that_is_short_or_leads_elsewhere_is_named(credentials, missing: str):
    with pytest.raises(BadInput, match=missing) as error:
        open_channel(credentials)
    assert "alerts_default" in str(error.value)
    assert SECRET not in str(error.value)
