"""How long a busy server asks us to wait: the Retry-After header of RFC 9110, 10.2.3."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or a date; None if the server does not say, or says it badly.

    A date is compared with the server's own clock where the answer tells it, so that ours may be
    wrong. One in the past is no seconds.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    asked = lowered.get("retry-after", "").strip()
    if asked.isdigit():
        return float(asked)
    moment = _instant(asked)
    if moment is None:
        return None
    now = _instant(lowered.get("date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _instant(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
