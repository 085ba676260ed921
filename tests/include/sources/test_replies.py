from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from include.connections import Credentials
from tests.include.sources.contract import SourceContract
from tests.include.sources.replies import DECLARATION, Replies, Shop, credentials, open_shop


class TestReplies(SourceContract):
    """The contract holds for a source that it has nothing to reproach with."""

    source = Replies
    table = "orders"

    @contextmanager
    def place(self, folder: Path) -> Iterator[Shop]:
        with open_shop() as shop:
            yield shop

    def declaration(self, place: Shop) -> dict[str, Any]:
        return DECLARATION

    def credentials(self, place: Shop) -> Credentials:
        return credentials(place)

    def change(self, place: Shop) -> None:
        place.tell(6)
        place.tell(2, lines=[], total_amount=0)

    def break_a_page(self, place: Shop) -> None:
        place.tell(3, updated_at=self.canary)

    def mend_the_page(self, place: Shop) -> None:
        place.tell(3)
