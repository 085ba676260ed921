"""Mailchimp's merge fields: which value a field takes, and what it says to one it refuses."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

TYPES = (
    "text",
    "number",
    "address",
    "phone",
    "date",
    "url",
    "imageurl",
    "radio",
    "dropdown",
    "birthday",
    "zip",
)

TEXT_BYTES = 255
FREE = frozenset({"text", "phone"})

REFUSALS = {
    "number": "Please enter a number",
    "address": "Please enter a complete address",
    "date": "Please enter the date",
    "url": "Please enter a valid URL",
    "imageurl": "Please enter a valid URL",
    "radio": "Value must be one of the choices",
    "dropdown": "Value must be one of the choices",
    "birthday": "Please enter a month (01-12) and a day (01-31)",
    "zip": "Please enter a zip code (5 digits)",
}
REQUIRED = "Please enter a value"

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
PATTERNS = {
    "date": re.compile(
        r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])|\d{4}/(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])"
        r"|(0[1-9]|[12]\d|3[01])-(0[1-9]|1[0-2])-\d{4}|(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/\d{4}"
    ),
    "url": re.compile(r"https?://[^\s/]+\.[^\s]+"),
    "imageurl": re.compile(r"https?://[^\s/]+\.[^\s]+"),
    "birthday": re.compile(r"(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])"),
    "zip": re.compile(r"\d{5}"),
}


class Refused(Exception):
    """A value a merge field does not take: the field's tag, and Mailchimp's words about it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class MergeFields:
    """The merge fields of one list."""

    def __init__(self, rows: list[sqlite3.Row]) -> None:
        self.types = {row["tag"]: row["type"] for row in rows}
        self.defaults = {row["tag"]: row["default_value"] for row in rows}
        self.required = [row["tag"] for row in rows if row["required"]]
        self.choices = {row["tag"]: json.loads(row["options"]).get("choices", []) for row in rows}

    def merge(
        self, held: Mapping[str, Any], given: Mapping[str, Any], insist: bool
    ) -> dict[str, Any]:
        """What a contact holds after `given`: unknown keys are ignored, "" clears.

        Raises `Refused` for a value of the wrong type, and, if `insist`, for an empty required one.
        """
        merged = dict(held)
        for tag, value in given.items():
            kind = self.types.get(tag)
            if kind is None:
                continue
            if value == "" or value is None:
                merged.pop(tag, None)
            elif kind in FREE and type(value) is str and len(value) <= TEXT_BYTES // 4:
                merged[tag] = value
            else:
                merged[tag] = self._clean(tag, kind, value)
        if insist:
            for tag in self.required:
                if tag not in merged:
                    raise Refused(tag, REQUIRED)
        return merged

    def shown(self, held: Mapping[str, Any]) -> dict[str, Any]:
        """All fields of the list, the empty ones with their default, as Mailchimp answers."""
        return {**self.defaults, **held}

    def _clean(self, tag: str, kind: str, value: Any) -> Any:
        if kind == "address":
            return self._address(tag, value)
        if isinstance(value, (dict, list)):
            raise Refused(tag, REFUSALS.get(kind, REQUIRED))
        if kind == "number":
            return self._number(tag, value)
        text = str(value)
        if kind in PATTERNS and not PATTERNS[kind].fullmatch(text):
            raise Refused(tag, REFUSALS[kind])
        if kind in ("radio", "dropdown") and text not in self.choices[tag]:
            raise Refused(tag, REFUSALS[kind])
        if len(text) > TEXT_BYTES // 4:
            return text.encode()[:TEXT_BYTES].decode(errors="ignore")
        return text

    @staticmethod
    def _number(tag: str, value: Any) -> int | float:
        if isinstance(value, bool):
            raise Refused(tag, REFUSALS["number"])
        if isinstance(value, (int, float)):
            return value
        if not NUMBER.fullmatch(value):
            raise Refused(tag, REFUSALS["number"])
        number = float(value)
        return int(number) if number.is_integer() else number

    @staticmethod
    def _address(tag: str, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(
            value.get(part) for part in ("addr1", "city", "state", "zip")
        ):
            raise Refused(tag, REFUSALS["address"])
        return {
            part: str(value.get(part, ""))
            for part in ("addr1", "addr2", "city", "state", "zip", "country")
        }
