"""Connections: what is needed to sign in at a vendor, whoever keeps it.

Airflow keeps them in its own store or in `AIRFLOW_CONN_<ID>` variables; outside Airflow the same
variables are read here, in both of Airflow's forms (JSON and URI). The plugins read through
Airflow and hand over the same `Credentials`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from include.errors import BadInput, Reauthorise

PREFIX = "AIRFLOW_CONN_"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One connection. Its secret and its options never appear in a repr.

    kind: Airflow's connection type. port, schema: of a database; the schema is its name there.
    """

    password: str | None = field(default=None, repr=False)
    login: str | None = None
    host: str | None = None
    port: int | None = None
    schema: str | None = None
    kind: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def require_password(self, connection: str) -> str:
        """The secret. Raises `Reauthorise` if the connection has none."""
        if not self.password:
            raise Reauthorise(f"connection {connection} has no password: put the API key there")
        return self.password

    def require_option(self, name: str, connection: str) -> str:
        """One value of the extra. Raises `BadInput` that names the missing key."""
        if not self.extra.get(name):
            raise BadInput(f"connection {connection} lacks {name} in its extra")
        return self.extra[name]


def connection_id(destination: str) -> str:
    """The Airflow connection a destination or source is reached by."""
    return f"{destination}_default"


def read_connection(connection: str, environment: Mapping[str, str] | None = None) -> Credentials:
    """A connection from its `AIRFLOW_CONN_<ID>` variable.

    Raises `BadInput` that names the variable when it is missing or cannot be read.
    """
    variable = f"{PREFIX}{connection.upper()}"
    text = (os.environ if environment is None else environment).get(variable)
    if not text:
        raise BadInput(f"no connection {connection}: set {variable} or add it to Airflow")
    try:
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)
    except (ValueError, AttributeError, TypeError):
        # The original error quotes the text, and the text holds the secret.
        raise BadInput(f"{variable} is neither a connection in JSON nor a URI") from None


def has_connection(connection: str) -> bool:
    """Whether the environment has such a connection, whatever it holds."""
    return bool(os.environ.get(f"{PREFIX}{connection.upper()}"))


def checked_url(url: str, connection: str) -> str:
    """A base address without its final slash: https, or http to this machine alone.

    Raises `BadInput` otherwise, because the secret travels with every call.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url.rstrip("/")
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return url.rstrip("/")
    raise BadInput(f"connection {connection}: base_url must be https (http only on loopback)")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _from_json(text: str) -> Credentials:
    value = json.loads(text)
    extra = value.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    return Credentials(
        password=value.get("password"),
        login=value.get("login"),
        host=value.get("host"),
        port=int(value["port"]) if value.get("port") else None,
        schema=value.get("schema"),
        kind=value.get("conn_type"),
        extra={key: str(option) for key, option in extra.items() if option is not None},
    )


def _from_uri(text: str) -> Credentials:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("a connection URI begins with its type")
    options = dict(parse_qsl(parts.query))
    if "__extra__" in options:
        options = {key: str(value) for key, value in json.loads(options["__extra__"]).items()}
    return Credentials(
        password=unquote(parts.password) if parts.password else None,
        login=unquote(parts.username) if parts.username else None,
        host=unquote(parts.hostname) if parts.hostname else None,
        port=parts.port,
        schema=unquote(parts.path.removeprefix("/")) or None,
        kind=parts.scheme,
        extra=options,
    )
