"""The secret of the codes, handed to dbt's sessions; dbt-duckdb loads this module as a plugin.

A code is an HMAC-SHA256 that SQL computes. The secret must not stand in any SQL, because dbt writes
that into its manifest, its target and its logs; so each session gets the two padded keys of RFC 2104
as variables, bound and not written out, on a cursor that dbt does not log.
"""

from __future__ import annotations

import hashlib
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from include.connections import read_connection
from include.errors import BadInput

CONNECTION = "offers_default"
# What SHA-256 takes in at a time; the key is padded to it.
BLOCK_BYTES = 64
FEWEST_BYTES = 32


def read_secret() -> bytes | None:
    """The secret in the password of the connection `offers_default`; None where there is none.

    Raises `BadInput` if it is too short to keep codes from being guessed.
    """
    try:
        password = read_connection(CONNECTION).password
    except BadInput:
        return None
    secret = (password or "").encode()
    if len(secret) < FEWEST_BYTES:
        raise BadInput(
            f"connection {CONNECTION}: the password is the secret of all codes, and must have"
            f" {FEWEST_BYTES} characters at least (openssl rand -hex 32)"
        )
    return secret


def padded_keys(secret: bytes) -> tuple[bytes, bytes]:
    """The inner and the outer key of HMAC-SHA256 (RFC 2104)."""
    key = hashlib.sha256(secret).digest() if len(secret) > BLOCK_BYTES else secret
    key = key.ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in key), bytes(byte ^ 0x5C for byte in key)


class Plugin(BasePlugin):
    """Sets the variables `offers_inner_key` and `offers_outer_key` in every session."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Read the secret once; without one the variables stay null, and there are no codes."""
        secret = read_secret()
        self._keys = padded_keys(secret) if secret else None

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Set the variables, which a copy of a connection does not inherit."""
        if self._keys:
            inner, outer = self._keys
            cursor.execute("set variable offers_inner_key = $key::blob", {"key": inner})
            cursor.execute("set variable offers_outer_key = $key::blob", {"key": outer})
