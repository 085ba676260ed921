"""What a shop is asked for when offers are pushed: a discount, and codes for it."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from include.connections import Credentials


@dataclass(frozen=True)
class Discount:
    """What all codes of an offer that were issued on one day are worth, and when they are good.

    Either `percent` or `amount` in `currency`. From the first to the last day, both included, and
    each code once. A standing discount has no days: its codes are good from when they are pushed,
    for any number of customers, for each of them once.
    """

    offer_name: str
    first_day: date | None
    last_day: date | None
    percent: Decimal | None
    amount: Decimal | None
    currency: str | None
    minimum_spend: Decimal

    @property
    def is_standing(self) -> bool:
        """Whether its codes are for any number of customers, and without an end."""
        return self.last_day is None

    @property
    def title(self) -> str:
        """What a merchant reads in the shop's back office."""
        return self.offer_name if self.is_standing else f"{self.offer_name} {self.first_day}"

    def period(self, time_zone: str) -> tuple[datetime, datetime | None]:
        """When it begins and when it is over, by the shop's clock; a standing one begins now."""
        zone = ZoneInfo(time_zone)
        if self.first_day is None or self.last_day is None:
            return datetime.now(zone), None
        after = self.last_day + timedelta(days=1)
        return datetime.combine(self.first_day, time(), zone), datetime.combine(after, time(), zone)


@dataclass(frozen=True)
class Added:
    """What became of codes: those that the shop has now, and why it refused the others."""

    present: frozenset[str]
    refused: Mapping[str, str]


class OfferShop(ABC):
    """A shop that takes codes. A subclass with a `type` serves the sources of that type.

    Codes that the shop has already are present: nobody else can have made one of ours.
    """

    type: ClassVar[str]
    batch_size: ClassVar[int]
    registry: ClassVar[dict[str, builtins.type[OfferShop]]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        OfferShop.registry[cls.type] = cls

    @abstractmethod
    def __init__(self, credentials: Credentials, connection: str, time_zone: str) -> None:
        """Nothing is asked yet. Raises `BadInput` or `Reauthorise` if the connection is short."""

    @abstractmethod
    def ensure_discount(self, discount: Discount, code: str) -> str:
        """The shop's id of the discount, which is made with its first code if it is not there."""

    @abstractmethod
    def add_codes(self, discount: Discount, discount_id: str, codes: Sequence[str]) -> Added:
        """Add no more than `batch_size` codes to a discount; any number of times."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""


def reasons(problems: Any) -> str:
    """The codes of a shop's errors; their texts may quote what we sent."""
    return ", ".join(sorted({str(problem.get("code")) for problem in problems}))
