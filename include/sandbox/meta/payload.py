"""The rows of an upload: who is sound, who is not, and by what a member is known."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from include.sandbox.answers import Refusal, dump
from include.sandbox.meta.errors import graph_error

ROWS = 10_000
SAMPLES = 100

HASHED_KEYS = frozenset(
    {"EMAIL", "PHONE", "GEN", "DOB", "DOBY", "DOBM", "DOBD", "FN", "LN", "FI", "F_FIRST"}
    | {"ST", "CT", "ZIP", "COUNTRY"}
)
OPTIONS = "DATA_PROCESSING_OPTIONS"
PLAIN_KEYS = frozenset(
    {"MADID", "EXTERN_ID", "LOOKALIKE_VALUE", OPTIONS, f"{OPTIONS}_COUNTRY", f"{OPTIONS}_STATE"}
)
DESCRIBING = frozenset({"LOOKALIKE_VALUE", OPTIONS, f"{OPTIONS}_COUNTRY", f"{OPTIONS}_STATE"})
# What a person is found by; the other keys only describe.
IDENTIFYING = frozenset({"EMAIL", "PHONE", "FN", "LN", "MADID", "EXTERN_ID"})
SHA256 = re.compile(r"[0-9a-f]{64}")


class Payload:
    """The rows of one upload: which keys, which rows are sound, which are not and why."""

    def __init__(self, payload: Any) -> None:
        mismatch = graph_error(100, "(#100) Data is missing or does not match schema")
        if not isinstance(payload, dict) or not payload.get("data"):
            raise Refusal(mismatch)
        schema, rows = payload.get("schema"), payload["data"]
        names = [schema] if isinstance(schema, str) else schema
        if not isinstance(names, list) or not names or not isinstance(rows, list):
            raise Refusal(mismatch)
        self.keys = [str(name).upper().removesuffix("_SHA256") for name in names]
        unknown = [key for key in self.keys if key not in HASHED_KEYS | PLAIN_KEYS]
        if unknown:
            raise Refusal(graph_error(100, f"(#100) Invalid schema key {unknown[0]}"))
        if len(rows) > ROWS:
            raise Refusal(
                graph_error(100, f"(#100) At most {ROWS} users can be sent in one request")
            )
        # A single key may come as a flat list.
        if not isinstance(rows[0], list):
            rows = [[row] for row in rows]
        if any(not isinstance(row, list) or len(row) != len(self.keys) for row in rows):
            raise Refusal(mismatch)
        self.received = len(rows)
        self.key_names = ",".join(self.keys)
        self.members: dict[bytes, str] = {}
        self.invalid: list[tuple[Any, str]] = []
        # A person's worth and how their data may be used say nothing of who they are.
        telling = [place for place, key in enumerate(self.keys) if key not in DESCRIBING]
        places = None if len(telling) == len(self.keys) else telling
        prefix = ",".join(self.keys[place] for place in telling).encode() + b"|"
        pattern = self._pattern()
        for row in rows:
            try:
                values = "|".join(row)
            except TypeError:
                values = "|".join(str(value) for value in row)
            if pattern.fullmatch(values):
                named = values if places is None else "|".join(str(row[place]) for place in places)
                identity = blake2b(prefix + named.encode(), digest_size=16).digest()
                self.members[identity] = values
            else:
                self.invalid.append((row, self._complaint(values)))

    def _pattern(self) -> re.Pattern[str]:
        parts = ["(?:[0-9a-f]{64}|)" if key in HASHED_KEYS else "[^|]*" for key in self.keys]
        somebody = "(?=.*[^|])" if set(self.keys) & IDENTIFYING else "(?!)"
        return re.compile(somebody + r"\|".join(parts), re.DOTALL)

    def _complaint(self, values: str) -> str:
        parts = values.split("|")
        for key, value in zip(self.keys, parts, strict=False):
            if key in HASHED_KEYS and value and not SHA256.fullmatch(value):
                return f"invalid {key.lower()} hash"
        return "no identifier in this row"

    def samples(self) -> dict[str, str] | list[Any]:
        """Up to 100 refused rows and why; PHP makes an empty map a list."""
        return {dump(row).decode(): why for row, why in self.invalid[:SAMPLES]} or []
