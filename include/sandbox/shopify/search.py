"""Shopify's search syntax, as far as it is answered here: terms joined by AND or by a space."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graphql import GraphQLError

TERM = re.compile(r"(\w+):(>=|<=|>|<)?(?:'([^']*)'|([^\s']+))")
TIMES = {"updated_at": "updated", "created_at": "created", "processed_at": "processed"}
EQUAL = {"action", "subject_type"}
FIELDS: dict[str, set[str]] = {
    "Order": {"updated_at", "created_at", "processed_at", "id"},
    "Customer": {"updated_at", "id"},
    "Product": {"updated_at", "created_at", "id"},
    "Event": {"created_at", "id", "action", "subject_type"},
}


@dataclass
class Bounds:
    """What a search asks for: half-open ranges of instants and ids, and equalities."""

    lower: dict[str, Any] = field(default_factory=dict)
    upper: dict[str, Any] = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)

    def ranges(self) -> dict[str, Any]:
        """Bounds of every column, open ones wide."""
        found: dict[str, Any] = {}
        for name in TIMES.values():
            found[f"{name}_from"] = self.lower.get(name, "")
            found[f"{name}_to"] = self.upper.get(name, "~")
        found["id_from"] = self.lower.get("id", 0)
        found["id_to"] = self.upper.get("id", 2**62)
        return found

    def add(self, name: str, comparator: str, start: Any, end: Any) -> None:
        """Narrow a column to before, after or within [start, end)."""
        if comparator in (">=", "", "="):
            self.lower[name] = max(start, self.lower.get(name, start))
        if comparator == ">":
            self.lower[name] = max(end, self.lower.get(name, end))
        if comparator in ("<=", "", "="):
            self.upper[name] = min(end, self.upper.get(name, end))
        if comparator == "<":
            self.upper[name] = min(start, self.upper.get(name, start))


def parse(kind: str, query: str | None) -> Bounds:
    """The bounds that a search on a kind of record sets. Raises `GraphQLError` for other syntax."""
    bounds = Bounds()
    rest = TERM.sub("", query or "")
    if rest.replace("AND", "").strip():
        raise GraphQLError(f"the sandbox does not know this search syntax: {query}")
    for name, comparator, quoted, plain in TERM.findall(query or ""):
        value = quoted or plain
        if name not in FIELDS[kind]:
            raise GraphQLError(f"the sandbox does not know the search field {name} of {kind}")
        if name in EQUAL:
            bounds.equal[name] = value
        elif name == "id":
            bounds.add("id", comparator, int(value), int(value) + 1)
        else:
            # Customers are found by whole days.
            start, end = span(value, is_whole_day=kind == "Customer")
            bounds.add(TIMES[name], comparator, start, end)
    return bounds


def span(text: str, is_whole_day: bool) -> tuple[str, str]:
    """The first instant that a text means, and the first one after it."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise GraphQLError(f"no point in time: {text}") from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    instant = instant.astimezone(UTC)
    length = timedelta(seconds=1)
    if is_whole_day or len(text) == len("2026-01-01"):
        instant = instant.replace(hour=0, minute=0, second=0)
        length = timedelta(days=1)
    form = "%Y-%m-%dT%H:%M:%SZ"
    return instant.strftime(form), (instant + length).strftime(form)
