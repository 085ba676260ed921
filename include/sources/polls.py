"""What every source that is asked again and again needs: when a poll brings nothing new, and pages.

A poll looks back a little beyond the newest record it knows, because records turn up late. So most
of what comes back is known already, and a poll that brings nothing else must land nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, BinaryIO, TypeVar

from include.instants import now_after
from include.sources.base import Page

_MINUTE = "%Y-%m-%dT%H:%M"
_BEGUN = "%Y%m%dT%H%M%S.%fZ"
_WRAP = 1 << 64
Item = TypeVar("Item")
# What a page holds, and how its name ends.
Content = tuple[str, BinaryIO]
# The bucket of records that have no time.
ALWAYS = ""


class Overlap:
    """The span that the next poll sees again, as one sum of hashes for each minute in it.

    The order of records does not matter, and the state stays small however many there are.
    """

    def __init__(self, minutes: int, state: Mapping[str, Any]) -> None:
        self.span = timedelta(minutes=minutes)
        self._known: Mapping[str, str] = state.get("minutes", {})
        self._newest: str = state.get("newest", ALWAYS)
        self._sums: dict[str, int] = {}
        self._now = minute_of(datetime.now(UTC))

    @property
    def since(self) -> datetime | None:
        """The instant in UTC from which on records are asked for; None for all of them."""
        if not self._newest:
            return None
        return datetime.strptime(self._newest, _MINUTE).replace(tzinfo=UTC) - self.span

    def add(self, minute: str, amount: int) -> None:
        """A record, or all of a minute (see `minute_of`), by the sum of their hashes."""
        self._sums[minute] = (self._sums.get(minute, 0) + amount) % _WRAP

    @property
    def is_news(self) -> bool:
        """Whether it is certain already that the poll brings something new."""
        return not self._sums.keys() <= self._known.keys()

    def is_news_at_last(self) -> bool:
        """Whether the poll, which is over, brought anything new."""
        return bool(self._sums) and self._told(self._sums) != dict(self._known)

    def state(self) -> dict[str, Any]:
        """What the next poll has to know, ready for JSON.

        A record from the future is no reason to overlook those that come before its time.
        """
        newest = min(max([self._newest, *self._sums]), self._now)
        first = newest and (datetime.strptime(newest, _MINUTE) - self.span).strftime(_MINUTE)
        seen = {
            minute: value
            for minute, value in self._sums.items()
            if minute >= first or minute == ALWAYS
        }
        return {"newest": newest, "minutes": self._told(seen)}

    @staticmethod
    def _told(sums: Mapping[str, int]) -> dict[str, str]:
        return {minute: f"{value:016x}" for minute, value in sums.items()}


def minute_of(instant: datetime) -> str:
    """The minute an instant (UTC) lies in, as text that sorts."""
    return instant.strftime(_MINUTE)


def unless_idle(contents: Iterable[Item], overlap: Overlap) -> Iterator[Item]:
    """The contents, once one of them has brought something new; none at all if none has.

    `contents` tells `overlap` of its records while it is asked for the next one.
    """
    held: list[Item] = []
    for content in contents:
        held.append(content)
        if overlap.is_news:
            yield from held
            held.clear()
    if overlap.is_news_at_last():
        yield from held


def pages(
    contents: Iterable[Content], reached: Callable[[], Mapping[str, Any]], cursor: Mapping[str, Any]
) -> Iterator[Page]:
    """One page for each content, named by the time it was fetched.

    Only the last one leads to the cursor `reached()`, because what a poll has seen is known at its
    end; a poll that breaks off before leads nowhere and begins anew. Of equal versions that in the
    later page counts, so a poll begins after the one that led to `cursor`, whatever the clock says.
    """
    before = None
    if "begun" in cursor:
        before = datetime.strptime(cursor["begun"], _BEGUN).replace(tzinfo=UTC)
    begun = now_after(before).strftime(_BEGUN)
    numbers = count(1)
    waiting: Content | None = None
    for content in contents:
        if waiting is not None:
            yield _page(f"{begun}-{next(numbers):06}", waiting, {})
        waiting = content
    if waiting is not None:
        yield _page(f"{begun}-{next(numbers):06}", waiting, {**reached(), "begun": begun})


def _page(stem: str, told: Content, cursor: Mapping[str, Any]) -> Page:
    suffix, content = told
    name = f"{stem}{suffix}"

    def opened() -> BinaryIO:
        content.seek(0)
        return content

    fetched_at = datetime.now(UTC).replace(tzinfo=None)
    return Page(name, fetched_at, version=lambda: name, open=opened, cursor=cursor)
