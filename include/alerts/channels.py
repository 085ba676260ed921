"""Where alerts go: Slack, a webhook, or mail, by the connection `alerts_default`.

Its option `kind` says which. Slack's incoming webhook address is its own secret, so it is the
password. A webhook's calls are signed with the password; a mail server is signed in at with it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from email.message import EmailMessage

import requests

from include.connections import Credentials, checked_url, is_loopback
from include.errors import BadInput, Reauthorise, Retry, Stop

CONNECTION = "alerts_default"
SIGNATURE = "X-Regulars-Signature"
SLACK_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
TIMEOUT_SECONDS = 10
SUBMISSION_PORT, TLS_PORT = 587, 465


@dataclass(frozen=True, slots=True)
class Message:
    """An alert: one line, a few more, and the same for a machine.

    kind: failing, held_up, recovered or test. subject: its names from the DAG downwards.
    """

    title: str
    text: str
    kind: str
    subject: tuple[str, ...] = ()


class Channel(ABC):
    """A place that people look at."""

    @abstractmethod
    def tell(self, message: Message) -> None:
        """Deliver it. Raises `Retry`, `Stop` or `Reauthorise`, whose text holds no secret."""


class Slack(Channel):
    """An incoming webhook. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""

    def __init__(self, credentials: Credentials) -> None:
        url = credentials.require_password(CONNECTION)
        self._url = checked_url(url, CONNECTION, SLACK_HOSTS)

    def tell(self, message: Message) -> None:
        """See `Channel`. Slack's three control characters are escaped, so nobody is called out."""
        text = f"*{_escaped(message.title)}*\n{_escaped(message.text)}"
        _post("Slack", self._url, json.dumps({"text": text}).encode(), {})


class Webhook(Channel):
    """A signed POST of the message as JSON.

    The signature is `t=<seconds>,v1=<hex>`: HMAC-SHA256, with the password, of the seconds since
    1970, a dot, and the body.
    """

    def __init__(self, credentials: Credentials) -> None:
        if not credentials.host:
            raise BadInput(f"connection {CONNECTION} has no host: put the webhook's address there")
        address = credentials.host if "://" in credentials.host else f"https://{credentials.host}"
        self._url = checked_url(address, CONNECTION)
        self._secret = credentials.require_password(CONNECTION).encode()

    def tell(self, message: Message) -> None:
        """See `Channel`."""
        body = json.dumps(asdict(message)).encode()
        seconds = int(time.time())
        signed = hmac.new(self._secret, b"%d." % seconds + body, hashlib.sha256).hexdigest()
        _post("the webhook", self._url, body, {SIGNATURE: f"t={seconds},v1={signed}"})


class Mail(Channel):
    """A mail server, with TLS unless it is on this machine."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        if not credentials.host:
            raise BadInput(f"connection {CONNECTION} has no host: put the mail server's there")
        self._host = credentials.host
        self._port = credentials.port or SUBMISSION_PORT
        self._sender = credentials.require_option("from", CONNECTION)
        self._recipients = credentials.require_option("to", CONNECTION)

    def tell(self, message: Message) -> None:
        """See `Channel`."""
        mail = EmailMessage()
        mail["From"], mail["To"] = self._sender, self._recipients
        mail["Subject"] = " ".join(message.title.split())
        mail.set_content(message.text)
        try:
            with self._server() as server:
                server.send_message(mail)
        except smtplib.SMTPAuthenticationError:
            raise Reauthorise(f"the mail server refuses the login of {CONNECTION}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Retry(f"the mail server takes no alert ({type(error).__name__})") from None

    def _server(self) -> smtplib.SMTP:
        """A connection, signed in. Raises what `smtplib` raises."""
        context = ssl.create_default_context()
        if self._port == TLS_PORT:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            if self._port != TLS_PORT and not is_loopback(self._host):
                server.starttls(context=context)
            if self._credentials.login:
                server.login(
                    self._credentials.login, self._credentials.require_password(CONNECTION)
                )
        except BaseException:
            server.close()
            raise
        return server


KINDS: dict[str, type[Slack] | type[Webhook] | type[Mail]] = {
    "slack": Slack,
    "webhook": Webhook,
    "smtp": Mail,
}


def open_channel(credentials: Credentials) -> Channel:
    """The channel that the connection describes. Raises `BadInput` if it is short."""
    kind = credentials.require_option("kind", CONNECTION)
    if kind not in KINDS:
        raise BadInput(f"connection {CONNECTION}: kind must be one of {', '.join(KINDS)}")
    return KINDS[kind](credentials)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(name: str, url: str, body: bytes, headers: dict[str, str]) -> None:
    """One call that follows no redirect. Raises `Retry` or `Stop`, without the address."""
    try:
        answer = requests.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": "regulars", **headers},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise Retry(f"{name} could not be reached ({type(error).__name__})") from None
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Retry(f"{name} is busy ({answer.status_code})")
    if not 200 <= answer.status_code < 300:
        raise Stop(f"{name} refuses alerts ({answer.status_code}): see connection {CONNECTION}")
