"""Shopify: one discount for an offer and a day of issue, with a redeem code for each customer.

All codes of a discount share its dates, so each day of issue is a discount of its own. The limit of
one use holds for each code; a standing discount has none. The app needs the scope
`write_discounts`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from include.connections import Credentials
from include.errors import Retry, Stop
from include.offers.base import Added, Discount, OfferShop, reasons
from include.sources.shopify_admin import Admin

CREATE = """
mutation ($discount: DiscountCodeBasicInput!) {
  discountCodeBasicCreate(basicCodeDiscount: $discount) {
    codeDiscountNode { id }
    userErrors { code field }
  }
}
"""
FIND = """
query ($code: String!) { codeDiscountNodeByCode(code: $code) { id } }
"""
ADD = """
mutation ($id: ID!, $codes: [DiscountRedeemCodeInput!]!) {
  discountRedeemCodeBulkAdd(discountId: $id, codes: $codes) {
    bulkCreation { id }
    userErrors { code field }
  }
}
"""
POLL = """
query ($id: ID!) {
  discountRedeemCodeBulkCreation(id: $id) {
    done
    codes(first: 250) { nodes { code errors { code } } }
  }
}
"""
CURRENCY = "query { shop { currencyCode } }"
DOCUMENTS = {"CREATE": CREATE, "FIND": FIND, "ADD": ADD, "POLL": POLL, "CURRENCY": CURRENCY}

TAKEN = "TAKEN"
# How long the shop may take over 250 codes.
DEADLINE_SECONDS = 600.0
LONGEST_WAIT_SECONDS = 10.0


class Shopify(OfferShop):
    """A Shopify shop's discounts."""

    type: ClassVar[str] = "shopify"
    batch_size: ClassVar[int] = 250

    def __init__(self, credentials: Credentials, connection: str, time_zone: str) -> None:
        self.admin = Admin(credentials, connection)
        self.time_zone = time_zone

    def ensure_discount(self, discount: Discount, code: str) -> str:
        """See `OfferShop`. Raises `Stop` if the amount is not in the shop's currency."""
        self._check_currency(discount)
        made = self.admin.ask(CREATE, discount=self._input(discount, code)).data
        made = made["discountCodeBasicCreate"]
        problems = made["userErrors"]
        if not problems:
            return str(made["codeDiscountNode"]["id"])
        # The answer to an earlier try may have been lost.
        found = self.admin.ask(FIND, code=code).data["codeDiscountNodeByCode"]
        if found is None or reasons(problems) != TAKEN:
            raise Stop(f"Shopify refuses the offer {discount.offer_name} ({reasons(problems)})")
        return str(found["id"])

    def add_codes(self, discount: Discount, discount_id: str, codes: Sequence[str]) -> Added:
        """See `OfferShop`. The shop works on them by itself; they are waited for."""
        given = [{"code": code} for code in codes]
        started = self.admin.ask(ADD, id=discount_id, codes=given).data["discountRedeemCodeBulkAdd"]
        if started["userErrors"]:
            told = reasons(started["userErrors"])
            raise Stop(f"Shopify refuses codes of the offer {discount.offer_name} ({told})")
        refused = {
            node["code"]: reasons(node["errors"])
            for node in self._finished(started["bulkCreation"]["id"])
            if node["errors"] and reasons(node["errors"]) != TAKEN
        }
        return Added(frozenset(codes) - refused.keys(), refused)

    def close(self) -> None:
        """See `OfferShop`."""
        self.admin.close()

    def _finished(self, creation_id: str) -> list[dict[str, Any]]:
        deadline = time.monotonic() + DEADLINE_SECONDS
        wait = 0.05
        while time.monotonic() < deadline:
            data = self.admin.ask(POLL, id=creation_id).data["discountRedeemCodeBulkCreation"]
            if data["done"]:
                nodes: list[dict[str, Any]] = data["codes"]["nodes"]
                return nodes
            time.sleep(wait)
            wait = min(LONGEST_WAIT_SECONDS, wait * 2)
        raise Retry("Shopify takes too long over the codes of an offer", 600)

    def _check_currency(self, discount: Discount) -> None:
        if discount.currency is None:
            return
        currency = self.admin.ask(CURRENCY).data["shop"]["currencyCode"]
        if currency != discount.currency:
            raise Stop(
                f"the offer {discount.offer_name} is in {discount.currency}, the shop's currency"
                f" is {currency}"
            )

    def _input(self, discount: Discount, code: str) -> dict[str, Any]:
        starts_at, ends_at = discount.period(self.time_zone)
        value: dict[str, Any]
        if discount.percent is not None:
            # The schema has a floating number between 0 and 1 here, and nowhere else.
            value = {"percentage": float(discount.percent / 100)}
        else:
            value = {"discountAmount": {"amount": str(discount.amount), "appliesOnEachItem": False}}
        minimum = {"subtotal": {"greaterThanOrEqualToSubtotal": str(discount.minimum_spend)}}
        return {
            "title": discount.title,
            "code": code,
            "startsAt": starts_at.isoformat(),
            "endsAt": ends_at.isoformat() if ends_at else None,
            "usageLimit": None if discount.is_standing else 1,
            "appliesOncePerCustomer": True,
            "context": {"all": "ALL"},
            "customerGets": {"items": {"all": True}, "value": value},
            "minimumRequirement": minimum if discount.minimum_spend else None,
        }
