"""The secret of the codes, handed to dbt's sessions; dbt-duckdb loads this module as a plugin.

A code is an HMAC-SHA256 that SQL computes. The secret must not stand in any SQL, because dbt writes
that into its manifest, its target and its logs; so each session gets the two padded keys of
RFC 2104 as variables, bound and not written out, on a cursor that dbt does not log.
"""

from __future__ import annotations

import hashlib
from typing import Any

import duckdb

from include.connections import has_connection, read_connection
from include.dbt import SECRET_CONNECTION
from include.errors import BadInput

# What SHA-256 takes in at a time; the key is padded to it.
BLOCK_BYTES = 64
FEWEST_BYTES = 32


def read_secret() -> bytes | None:
    """The secret in the password of the connection `offers_default`; None where there is none.

    Raises `BadInput` if it is too short to keep codes from being guessed.
    """
    if not has_connection(SECRET_CONNECTION):
        return None
    secret = read_connection(SECRET_CONNECTION).require_password(SECRET_CONNECTION).encode()
    if len(secret) < FEWEST_BYTES:
        raise BadInput(
            f"connection {SECRET_CONNECTION}: the password is the secret of all codes, and must"
            f" have {FEWEST_BYTES} characters at least (openssl rand -hex 32)"
        )
    return secret


def padded_keys(secret: bytes) -> tuple[bytes, bytes]:
    """The inner and the outer key of HMAC-SHA256 (RFC 2104)."""
    key = hashlib.sha256(secret).digest() if len(secret) > BLOCK_BYTES else secret
    key = key.ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in key), bytes(byte ^ 0x5C for byte in key)


class Plugin:
    """What dbt-duckdb asks of a plugin: to be made, and to prepare connections and cursors.

    It sets the variables `offers_inner_key` and `offers_outer_key` in every session. Without a
    secret they stay null, and there are no codes.
    """

    def __init__(self, name: str, plugin_config: object, credentials: object) -> None:
        self.name = name
        secret = read_secret()
        self._keys = padded_keys(secret) if secret else None

    def update_connection_config(self, creds: object, config: dict[str, Any]) -> None:
        """Nothing about the database itself is changed."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Nothing is set here: cursors, which dbt works with, would not inherit it."""

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Set the variables."""
        if self._keys:
            inner, outer = self._keys
            cursor.execute("set variable offers_inner_key = $key::blob", {"key": inner})
            cursor.execute("set variable offers_outer_key = $key::blob", {"key": outer})
