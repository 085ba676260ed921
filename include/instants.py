"""Instants that things are named by: names sort by time, also after the clock was put back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# The microseconds tell two of one second apart.
IDENTIFIER = "%Y%m%dT%H%M%S%fZ"


def now_after(last: datetime | None) -> datetime:
    """This moment in UTC, or the one just after `last` where the clock was put back before it."""
    now = datetime.now(UTC)
    return max(now, last + timedelta(microseconds=1)) if last else now
