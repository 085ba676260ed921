"""What both vendors' routes share: compact JSON out, and an answer that may be raised."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


def dump(content: Any, *, sort_keys: bool = False) -> bytes:
    """Compact JSON."""
    return msgspec.json.encode(content, order="sorted" if sort_keys else None)


class Json(Response):
    """A JSON answer, cheaper to make than FastAPI's own, which walks through every value first."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        """The body's bytes."""
        return dump(content)


class Refusal(Exception):
    """A request the vendor refuses; the answer says why."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


async def answer_refusal(_: object, refusal: Exception) -> Response:
    """FastAPI's handler for `Refusal`."""
    if not isinstance(refusal, Refusal):
        raise refusal
    return refusal.answer
