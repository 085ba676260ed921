"""The shop's discounts with their codes, and the bulk operations that add codes."""

from __future__ import annotations

import json
from typing import Any

from graphql import GraphQLError

from include.sandbox.shopify.resources import gid
from include.sandbox.shopify.shop import Shop

LARGEST_BULK = 250
SCOPE = "write_discounts"


class Discounts:
    """Answers the fields about discounts; a code is one of the whole shop, whatever its case."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def create(self, base_url: str, basicCodeDiscount: dict[str, Any]) -> dict[str, Any]:
        """Create a discount with its first code."""
        self._check_access("discountCodeBasicCreate")
        problems = self._problems(basicCodeDiscount)
        if problems:
            return {"codeDiscountNode": None, "userErrors": problems}
        code = basicCodeDiscount["code"]
        with self.shop.truth.connection as connection:
            number = connection.execute(
                "INSERT INTO shopify_discounts (document) VALUES (?)",
                (json.dumps(basicCodeDiscount, default=str),),
            ).lastrowid
            connection.execute(
                "INSERT INTO shopify_discount_codes (code, discount) VALUES (?, ?)", (code, number)
            )
        assert number is not None
        return {"codeDiscountNode": node(number), "userErrors": []}

    def add(self, base_url: str, discountId: str, codes: list[dict[str, str]]) -> dict[str, Any]:
        """Begin to add codes; the shop is done at the second time it is asked."""
        self._check_access("discountRedeemCodeBulkAdd")
        number = int(discountId.rpartition("/")[2])
        if not self.shop.truth.one("SELECT 1 FROM shopify_discounts WHERE number = ?", (number,)):
            return refused("discountId", "INVALID", "Discount does not exist")
        if len(codes) > LARGEST_BULK:
            return refused("codes", "TOO_MANY_ARGUMENTS", "The input array size is too large")
        results: list[dict[str, Any]] = []
        with self.shop.truth.connection as connection:
            for given in codes:
                code = given["code"]
                if self._holder(code) is None:
                    connection.execute(
                        "INSERT INTO shopify_discount_codes (code, discount) VALUES (?, ?)",
                        (code, number),
                    )
                    results.append({"code": code, "errors": []})
                else:
                    results.append({"code": code, "errors": [taken()]})
            creation = connection.execute(
                """
                INSERT INTO shopify_code_creations (discount, results, created_at)
                VALUES (?, ?, ?)
                """,
                (number, json.dumps(results), self.shop.now()),
            ).lastrowid
        assert creation is not None
        return {"bulkCreation": self.creation(creation), "userErrors": []}

    def poll(self, base_url: str, id: str) -> dict[str, Any] | None:
        """How far an addition of codes is; asking brings it forward."""
        number = int(id.rpartition("/")[2])
        with self.shop.truth.connection as connection:
            connection.execute(
                "UPDATE shopify_code_creations SET polls = polls + 1 WHERE number = ?", (number,)
            )
        return self.creation(number)

    def by_code(self, base_url: str, code: str) -> dict[str, Any] | None:
        """The discount that a code is of."""
        holder = self._holder(code)
        return None if holder is None else node(holder)

    def creation(self, number: int) -> dict[str, Any] | None:
        """An addition of codes as the API shows it."""
        row = self.shop.truth.one(
            "SELECT * FROM shopify_code_creations WHERE number = ?", (number,)
        )
        if row is None:
            return None
        results = json.loads(row["results"])
        is_done = row["polls"] > 1
        failed = sum(bool(result["errors"]) for result in results)
        return {
            "__typename": "DiscountRedeemCodeBulkCreation",
            "id": gid("DiscountRedeemCodeBulkCreation", number),
            "createdAt": row["created_at"],
            "discountCode": node(row["discount"]),
            "done": is_done,
            "codesCount": len(results),
            "importedCount": len(results) - failed if is_done else 0,
            "failedCount": failed if is_done else 0,
            "codes": results if is_done else [],
        }

    def _problems(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        code = given.get("code")
        problems = [
            problem([field], "BLANK", f"{field} can't be blank")
            for field in ("code", "title", "startsAt")
            if not given.get(field)
        ]
        if code and self._holder(code) is not None:
            problems.append(taken())
        value = (given.get("customerGets") or {}).get("value") or {}
        percentage = value.get("percentage")
        if (percentage is None) == (value.get("discountAmount") is None):
            problems.append(problem(["customerGets", "value"], "INVALID", "Value is invalid"))
        elif percentage is not None and not 0 < percentage <= 1:
            field = ["customerGets", "value", "percentage"]
            problems.append(problem(field, "VALUE_OUTSIDE_RANGE", "Value must be between 0 and 1"))
        if given.get("endsAt") and str(given["endsAt"]) <= str(given.get("startsAt")):
            problems.append(problem(["endsAt"], "END_DATE_BEFORE_START_DATE", "Ends too early"))
        return problems

    def _holder(self, code: str) -> int | None:
        row = self.shop.truth.one(
            "SELECT discount FROM shopify_discount_codes WHERE code = ?", (code,)
        )
        return int(row["discount"]) if row else None

    def _check_access(self, name: str) -> None:
        if SCOPE not in self.shop.settings().scopes:
            required = f"`{SCOPE}` access scope."
            raise GraphQLError(
                f"Access denied for {name} field. Required access: {required}",
                extensions={"code": "ACCESS_DENIED", "requiredAccess": required},
            )


def node(number: int) -> dict[str, Any]:
    """A discount as the API shows it."""
    return {"__typename": "DiscountCodeNode", "id": gid("DiscountCodeNode", number)}


def problem(field: list[str], code: str, message: str) -> dict[str, Any]:
    """An error about what was given."""
    return {"field": field, "code": code, "message": message, "extraInfo": None}


def taken() -> dict[str, Any]:
    """The error for a code that the shop has."""
    return problem(["code"], "TAKEN", "Code must be unique. Please try a different code.")


def refused(field: str, code: str, message: str) -> dict[str, Any]:
    """The answer to codes that are not added."""
    return {"bulkCreation": None, "userErrors": [problem([field], code, message)]}
