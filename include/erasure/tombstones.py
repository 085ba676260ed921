"""Tombstones: who was erased, as salted hashes, so that nobody comes back and nobody can be read.

    <store>/erasure/tombstones.json    HMAC-SHA256 of each identifier of everybody who was erased
    <home>/erasure.salt                the secret (mode 0600) that they are computed with

What lands, is planned or is sent is held against them. With several machines, the password of the
connection `erasure_default` takes the place of the salt file. Whoever loses the salt has tombstones
that match nobody any more: it belongs into the backup.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa

from include.connections import has_connection, read_connection
from include.errors import BadInput
from include.settings import Settings
from include.store import PRIVATE, Store, make_private_folder
from include.warehouse import Warehouse

Kind = Literal["platform_id", "email", "phone", "identity"]
"""What an identifier is: a shop's customer id, an address or number in its plain form, or a hash by
which somebody else knows the person (a destination's key, a node of the identity graph)."""
Identifier = tuple[Kind, str]

FILE = "erasure/tombstones.json"
SALT = "erasure.salt"
CONNECTION = "erasure_default"
SALT_BYTES = 32
# What SHA-256 takes in at a time (RFC 2104).
BLOCK_BYTES = 64


@dataclass(frozen=True)
class Tombstones:
    """Everybody who was erased. `generation` changes with every new tombstone; '' without any.

    settled: the generation of the last erasure that came to its end.
    """

    hashes: frozenset[str] = frozenset()
    settled: str = ""
    salt: bytes = field(default=b"", repr=False)

    def __bool__(self) -> bool:
        return bool(self.hashes)

    @property
    def generation(self) -> str:
        """What tells two sets of tombstones apart."""
        return hashlib.sha256("".join(sorted(self.hashes)).encode()).hexdigest() if self else ""

    def covers(self, kind: Kind, value: str | None) -> bool:
        """Whether somebody of that identifier was erased."""
        return bool(self.hashes and value) and digest(self.salt, (kind, value or "")) in self.hashes

    def show(self, warehouse: Warehouse) -> None:
        """The temporary table `tombstones`, and the macro `tombstone_of(kind, value)`."""
        key = self.salt.ljust(BLOCK_BYTES, b"\0")
        for name, pad in (("inner", 0x36), ("outer", 0x5C)):
            # Bound, so that the salt stands in no statement.
            warehouse.connection.execute(
                f"set variable erasure_{name}_key = $key::blob",
                {"key": bytes(byte ^ pad for byte in key)},
            )
        table = pa.table({"hash": pa.array(sorted(self.hashes), pa.string())})
        warehouse.connection.register("given_tombstones", table)
        warehouse.run("show_tombstones")
        warehouse.connection.unregister("given_tombstones")


def digest(salt: bytes, identifier: Identifier) -> str:
    """The tombstone of one identifier: HMAC-SHA256 of `<kind>:<value>`, in hexadecimal."""
    return hmac.digest(salt, ":".join(identifier).encode(), hashlib.sha256).hex()


def load_tombstones(settings: Settings) -> Tombstones:
    """All tombstones; none before the first erasure.

    Raises `BadInput` if there are some and the salt they were made with is gone.
    """
    store = Store(settings.store)
    if not store.exists(FILE):
        return Tombstones()
    content = json.loads(store.read(FILE))
    salt = _salt(settings, is_new=False)
    if content["salt_checksum"] != hashlib.sha256(salt).hexdigest():
        raise BadInput(
            f"the tombstones were made with another salt: put {settings.home / SALT} (or the"
            f" password of the connection {CONNECTION}) back from a backup"
        )
    return Tombstones(frozenset(content["hashes"]), content["settled"], salt)


def add_tombstones(settings: Settings, identifiers: Iterable[Identifier]) -> Tombstones:
    """Write the tombstones of these identifiers beside those there are; twice does no harm."""
    store = Store(settings.store)
    known = load_tombstones(settings)
    salt = known.salt or _salt(settings, is_new=True)
    hashes = known.hashes | {digest(salt, identifier) for identifier in identifiers}
    tombstones = Tombstones(hashes, known.settled, salt)
    if hashes != known.hashes:
        _write(store, tombstones)
    return tombstones


def settle(settings: Settings) -> None:
    """Note that every erasure has come to its end."""
    tombstones = load_tombstones(settings)
    if tombstones and tombstones.settled != tombstones.generation:
        _write(Store(settings.store), replace(tombstones, settled=tombstones.generation))


def _write(store: Store, tombstones: Tombstones) -> None:
    content = {
        "salt_checksum": hashlib.sha256(tombstones.salt).hexdigest(),
        "settled": tombstones.settled,
        "hashes": sorted(tombstones.hashes),
    }
    store.write(FILE, json.dumps(content).encode())


def _salt(settings: Settings, *, is_new: bool) -> bytes:
    if has_connection(CONNECTION):
        given = read_connection(CONNECTION).require_password(CONNECTION).encode()
        return hashlib.sha256(given).digest()
    path = settings.home / SALT
    if is_new and not path.exists():
        make_private_folder(settings.home)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
    if not path.exists():
        raise BadInput(f"{path} is missing: put it back from a backup; it cannot be made anew")
    return bytes.fromhex(path.read_text().strip())


def show_identifiers(warehouse: Warehouse, identifiers: Iterable[Identifier]) -> None:
    """The temporary table `identifiers` (kind, value): whose data are to go."""
    pairs = sorted(set(identifiers))
    table = pa.table(
        {
            "kind": pa.array([kind for kind, _ in pairs], pa.string()),
            "value": pa.array([value for _, value in pairs], pa.string()),
        }
    )
    warehouse.connection.register("given_identifiers", table)
    warehouse.run("show_identifiers")
    warehouse.connection.unregister("given_identifiers")
