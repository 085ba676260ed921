"""WooCommerce: a coupon of its own for each code, a hundred with one call.

A coupon has no first day there: it is good from when it is pushed. The key needs write access.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from include.connections import Credentials, checked_url
from include.errors import BadInput, Reauthorise, Retry, Stop
from include.offers.base import Added, Discount, OfferShop

API = "/wp-json/wc/v3"
TIMEOUT_SECONDS = 120
TRIES = 5
LONGEST_WAIT_SECONDS = 30
THERE_ALREADY = "woocommerce_rest_coupon_code_already_exists"
_BUSY = (408, 429, 500, 502, 503, 504)


class WooCommerce(OfferShop):
    """A WooCommerce shop's coupons."""

    type: ClassVar[str] = "woocommerce"
    batch_size: ClassVar[int] = 100

    def __init__(self, credentials: Credentials, connection: str, time_zone: str) -> None:
        if not credentials.login:
            raise Reauthorise(f"connection {connection} has no login: put the consumer key there")
        base = credentials.extra.get("base_url") or credentials.host
        if not base:
            raise BadInput(f"connection {connection} has no host: put the shop's address there")
        url = checked_url(base if "://" in base else f"https://{base}", connection)
        self.connection = connection
        self._client = httpx.Client(
            base_url=f"{url.removesuffix(API)}{API}",
            auth=(credentials.login, credentials.require_password(connection)),
            timeout=TIMEOUT_SECONDS,
            headers={"Accept": "application/json", "User-Agent": "regulars"},
        )

    def ensure_discount(self, discount: Discount, code: str) -> str:
        """See `OfferShop`. Each coupon says for itself what it is worth."""
        return discount.title

    def add_codes(self, discount: Discount, discount_id: str, codes: Sequence[str]) -> Added:
        """See `OfferShop`."""
        coupons = [{"code": code, **_terms(discount)} for code in codes]
        retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            retry=retry_if_exception_type(Retry),
            wait=wait_exponential(multiplier=0.1, max=LONGEST_WAIT_SECONDS),
            reraise=True,
        )
        made = retrying(self._post, {"create": coupons})
        refused = {}
        # One result for each coupon, in the order given.
        for code, result in zip(codes, made, strict=True):
            problem = (result.get("error") or {}).get("code")
            if problem and problem != THERE_ALREADY:
                refused[code] = str(problem)
        return Added(frozenset(codes) - refused.keys(), refused)

    def close(self) -> None:
        """See `OfferShop`."""
        self._client.close()

    def _post(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            answer = self._client.post("coupons/batch", json=body)
        except httpx.TransportError as error:
            raise Retry(f"the shop does not answer ({type(error).__name__})") from None
        if answer.status_code in _BUSY:
            raise Retry(f"the shop is busy ({answer.status_code})")
        if answer.status_code in (401, 403):
            raise Reauthorise(f"connection {self.connection} needs a key that may write coupons")
        if answer.status_code != 200:
            raise Stop(f"the shop refuses coupons ({answer.status_code})")
        try:
            created: list[dict[str, Any]] = answer.json()["create"]
        except (ValueError, KeyError, TypeError):
            raise Retry("the shop answered with something else than coupons") from None
        if len(created) != len(body["create"]):
            raise Retry("the shop answered for other coupons than it was sent")
        return created


def _terms(discount: Discount) -> dict[str, Any]:
    """A coupon is over at the beginning of the day of its `date_expires`, by the site's clock.

    The shop tells customers apart by their account, or by the e-mail address they order with.
    """
    _, over = discount.period("UTC")
    worth = discount.amount if discount.percent is None else discount.percent
    return {
        "discount_type": "fixed_cart" if discount.percent is None else "percent",
        "amount": str(worth),
        "date_expires": over.date().isoformat() + "T00:00:00" if over else None,
        "usage_limit": None if discount.is_standing else 1,
        "usage_limit_per_user": 1,
        "individual_use": True,
        "minimum_amount": str(discount.minimum_spend),
        "description": discount.title,
    }
