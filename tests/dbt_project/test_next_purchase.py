"""What suits a customer next, from raw lines to recommendations, and what stays private of a birthday."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.dbt_project.shops import Shop

OWNERS = 24
PRODUCTS = ("cat food", "cat litter", "dog food", "dog leash", "brush")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    """Owners of cats and of dogs, who all buy toys."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    lines = []
    for pet in ("cat", "dog"):
        for owner in range(OWNERS):
            first = date(2025, 10, 1) + timedelta(days=owner)
            # Every other owner has found the second product already, some weeks after the first.
            baskets = [(first, (f"{pet} food", "brush"))]
            if owner % 2:
                baskets.append((first + timedelta(days=20), (second_of(pet), "brush")))
            for number, (day, skus) in enumerate(baskets):
                for line, sku in enumerate(skus):
                    lines.append(
                        {
                            "order_id": f"shop:{pet}{owner}-{number}",
                            "line_id": str(line),
                            "customer_id": f"shop:{pet}{owner}",
                            "ordered_date": day,
                            "sku": sku,
                        }
                    )
    shop.sell(lines)
    for sku in PRODUCTS:
        category = "toys" if sku == "brush" else sku.split()[0]
        shop.write(
            "insert into raw.products by name"
            " select 'shop' as source, $sku as sku, $category as category, true as is_active",
            sku=sku,
            category=category,
        )
    shop.write(
        "insert into raw.contacts by name select 'shop' as source, 'shop:cat0' as customer_id,"
        " date '1984-01-31' as birthday, timestamp '2026-01-01' as updated_at"
    )
    shop.build(pair_min_count=2, category_pair_min_expected=5)
    return shop


def second_of(pet: str) -> str:
    """What an owner buys some weeks after the food."""
    return {"cat": "cat litter", "dog": "dog leash"}[pet]


def test_owners_of_cats_never_get_dog_food(shop):
    assert shop.read(
        "select category, other_category from marts.category_pairs where is_exclusive order by all"
    ) == [("cat", "dog"), ("dog", "cat")]
    recommended = shop.read(
        "select distinct regexp_extract(customer_id, 'cat|dog'), category from marts.recommendations"
        " where category != 'toys' order by all"
    )
    assert recommended == [("cat", "cat"), ("dog", "dog")]


def test_who_has_the_food_alone_gets_what_others_bought_some_weeks_later(shop):
    assert shop.read(
        "select recommended_sku, because_of from marts.recommendations"
        " where customer_id = 'shop:cat0'"
    ) == [("cat litter", "next")]
    assert shop.read(
        "select pair_count, median_delay_days from marts.product_pairs"
        " where pair_kind = 'next' and sku = 'cat food' and other_sku = 'cat litter'"
    ) == [(OWNERS // 2, 20)]


def test_nobody_is_recommended_what_they_have(shop):
    assert (
        shop.read(
            "select * from marts.recommendations as r inner join marts.order_lines as l"
            " on r.customer_id = l.customer_id and r.recommended_sku = l.sku"
        )
        == []
    )


def test_a_birthday_is_due_and_its_year_is_nowhere_public(shop):
    assert shop.read(
        "select customer_id, due_date from marts.customer_moments where moment = 'birthday'"
    ) == [("shop:cat0", date(2026, 1, 31))]
    assert (
        shop.read(
            "select table_name from duckdb_columns() where schema_name = 'marts'"
            " and column_name like '%birth%'"
        )
        == []
    )
