"""A build that follows the changes, against a build of everything, day after day."""

from __future__ import annotations

import random
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dbt_project.shops import Shop, line

FIRST_DAY = date(2026, 1, 28)
TABLES = (
    "intermediate.int_order_lines",
    "marts.order_lines",
    "intermediate.int_refund_allocations",
    "marts.orders",
    "intermediate.int_customer_categories",
    "intermediate.int_customer_days",
    "intermediate.int_customer_discounts",
    "intermediate.int_customer_months",
    "intermediate.int_customer_products",
    "intermediate.int_order_movements",
    "intermediate.int_reorders",
    "intermediate.int_tier_periods",
    "marts.points_ledger",
    "marts.rfm_migrations",
)
CHAIN = [
    "--select",
    *(f"+{table.removeprefix('intermediate.')}" for table in TABLES if ".int_" in table),
    "+fct_points_ledger",
    "+fct_rfm_migrations",
    "--exclude-resource-type",
    "test",
]
STARTS = "select count(distinct start_id) from intermediate.builds where start_id != ''"
PERIODS = "from intermediate.int_tier_periods order by all"
# What the tiers are decided from, as if the orders had been followed.
BUILDS = """
create schema intermediate;
create table intermediate.builds (
    model varchar, start_id varchar, build bigint, as_of date, load_number bigint, definition varchar
)
"""
SPENDS = """
create or replace table intermediate.int_customer_months as
select
    unnest($customer_ids) as customer_id,
    unnest($months) as month,
    unnest($spends)::decimal(18, 4) as net_revenue
"""
FOLLOWED = """
insert into intermediate.builds by name
select 'int_order_changes' as model, 'start' as start_id, $build as build, $day as as_of
"""
RULES = """
insert into raw.source_rules values ('till', 'cancellation_prefix', 'C'),
    ('till', 'non_product_skus', 'POST')
"""
SKUS = ["lamp", "vase", "rug", "POST"]
PEOPLE = 12


class History:
    """A shop to which random things happen, the same for the same seed."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.draw = random.Random(seed)
        self.number = 0
        self.day = FIRST_DAY
        shop.write(RULES)
        for sku in SKUS[:2]:
            self.price(sku)

    def live(self, events: int) -> None:
        """So many things happen, all before the next build."""
        kinds = [self.order, self.order, *[self.bill] * 6, self.edit, self.correct]
        kinds += [self.drop_line, self.tell_contact, self.forget_contact, self.redeem]
        for _ in range(events):
            self.draw.choice(kinds)()
        self.price(self.draw.choice(SKUS))

    def moment(self) -> date:
        """Often lately, sometimes long ago (points are about to expire), or a few days ahead."""
        return self.day - timedelta(days=self.draw.choice([-3, -1, 0, 0, 1, 5, 40, 364, 400]))

    def who(self) -> dict[str, Any]:
        number = self.draw.randrange(PEOPLE)
        if self.draw.random() < 0.6:
            return {"customer_id": f"shop:{number}"}
        phone = self.draw.choice([None, f"+4930123450{number % 5}"])
        email = self.draw.choice([f"p{number}@post.net", f"p{number % 3}@post.net", None])
        return {"customer_id": None, "email_key": email, "phone_key": phone}

    def order(self, order_id: str | None = None) -> None:
        """A document, perhaps cancelled or refunded, now or a few days ahead."""
        self.number += 1
        lines = [
            line(n, sku=self.draw.choice(SKUS), quantity=2, gross_amount=20)
            # Without a record a product is of the last category that anybody's lines say.
            | {"category": self.draw.choice([None, "Home", "Gifts"])}
            for n in range(1, self.draw.randrange(2, 5))
        ]
        cancelled = self.draw.random() < 0.15 and f"{self.moment()} 10:00:00"
        refunds = [
            {"refund_id": f"r{n}", "line_id": "1", "kind": "line", "quantity": 1, "amount": 4}
            | {"refunded_at": f"{self.moment()} 11:00:00"}
            for n in range(self.draw.choice([0, 0, 1, 2]))
        ]
        payments = [
            {"payment_id": "1", "kind": "sale", "status": "success", "amount": 9}
            | {"currency": "EUR", "paid_at": f"{self.moment()} 11:00:00"}
        ]
        document = {"order_id": order_id or f"shop:{self.number}", "lines": lines}
        document |= {"ordered_date": str(self.moment()), "refunds": refunds, "payments": payments}
        document |= {"discount_codes": self.draw.choice([[], ["FIRST"]])}
        self.shop.place(
            [document | self.who() | ({"cancelled_at": cancelled} if cancelled else {})]
        )

    def edit(self) -> None:
        """A newer version of a document takes the place of the older one."""
        if found := self.one("select order_id from raw.orders order by 1"):
            self.shop.write("delete from raw.orders where order_id = $id", id=found)
            self.order(found)

    def bill(self, order_id: str | None = None) -> None:
        """Flat lines of a sale, or of a cancellation that names none."""
        self.number += 1
        is_cancelled = self.draw.random() < 0.3
        order_id = order_id or f"till:{'C' if is_cancelled else ''}{self.number}"
        lately = self.day - timedelta(days=self.draw.choice([0, 1]))
        who = {
            "customer_id": f"shop:{self.draw.randrange(3)}",
            "ordered_date": lately if order_id.startswith("till:C") else self.moment(),
        }
        for n in range(1, self.draw.randrange(2, 4)):
            pieces = self.draw.randrange(1, 4) * (-1 if order_id.startswith("till:C") else 1)
            told = {"order_id": order_id, "source": "till", "line_id": str(n), "quantity": pieces}
            told |= {"sku": self.draw.choice(SKUS[:2]), "gross_amount": 10 * pieces}
            self.shop.sell([told | who])

    def correct(self) -> None:
        """A line in a newer version, as the merge replaces it."""
        if found := self.one("select order_id || '/' || line_id from raw.order_lines order by 1"):
            self._replace(found)

    def _replace(self, line_key: str) -> None:
        order_id, line_id = line_key.split("/")
        self.shop.write(
            "insert into raw.order_lines by name"
            " select * exclude (load_number) replace (gross_amount + 1 as gross_amount,"
            " line_id || 'x' as line_id) from raw.order_lines"
            " where order_id = $order_id and line_id = $line_id",
            order_id=order_id,
            line_id=line_id,
        )
        self.shop.write(
            "delete from raw.order_lines where order_id = $order_id and line_id = $line_id",
            order_id=order_id,
            line_id=line_id,
        )

    def drop_line(self) -> None:
        """A line that a newer file does not have any more."""
        if found := self.one("select order_id || '/' || line_id from raw.order_lines order by 1"):
            order_id, line_id = found.split("/")
            self.shop.write(
                "delete from raw.order_lines where order_id = $order_id and line_id = $line_id",
                order_id=order_id,
                line_id=line_id,
            )
            self.shop.write(
                "insert into raw.removed_orders by name select $order_id as order_id",
                order_id=order_id,
            )

    def tell_contact(self) -> None:
        """An account's address, which may be another's too: two customers become one."""
        number = self.draw.randrange(PEOPLE)
        self.forget_contact(number)
        email = f"p{self.draw.choice([number, number % 3, number])}@post.net"
        self.shop.write(
            "insert into raw.contacts by name select 'shop' as source, $id as customer_id,"
            " $email as email, $email as email_key, $phone as phone_key, $birthday as birthday,"
            " timestamp '2025-01-01' as updated_at",
            id=f"shop:{number}",
            birthday=date(1990, self.draw.randrange(1, 4), 15),
            email=email,
            phone=self.draw.choice([None, f"+4930123450{number % 5}"]),
        )

    def forget_contact(self, number: int | None = None) -> None:
        """An account's address is told no more: a customer may become two again."""
        number = self.draw.randrange(PEOPLE) if number is None else number
        self.shop.write("delete from raw.contacts where customer_id = $id", id=f"shop:{number}")

    def redeem(self) -> None:
        """Points are spent, or it turns out that they were not."""
        number = self.draw.randrange(PEOPLE)
        self.shop.write(
            "delete from raw.points_redemptions where customer_id = $id", id=f"shop:{number}"
        )
        if self.draw.random() < 0.7:
            self.shop.write(
                "insert into raw.points_redemptions by name select 'shop' as source,"
                " $id as redemption_id, $customer as customer_id, $points as points,"
                " $day::timestamp as redeemed_at",
                id=f"r{number}",
                customer=f"shop:{number}",
                points=self.draw.randrange(1, 40),
                day=self.moment(),
            )

    def price(self, sku: str) -> None:
        """What a product costs the shop, or that it is known at all, changes."""
        self.shop.write("delete from raw.products where sku = $sku", sku=sku)
        for source in ("shop", "till"):
            self.shop.write(
                "insert into raw.products by name select $source as source, $sku as sku,"
                " $cost as unit_cost, $category as category",
                source=source,
                sku=sku,
                cost=self.draw.randrange(1, 9),
                category=self.draw.choice(["Home", "Gifts"]),
            )

    def one(self, query: str) -> Any:
        rows = self.shop.read(query)
        return self.draw.choice(rows)[0] if rows else None


def state(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    return {table: shop.read(f"from {table} order by all") for table in TABLES}


def in_full(shop: Shop, folder: Path, day: date) -> dict[str, list[tuple[Any, ...]]]:
    """The same raw tables, built by a warehouse that has never built anything."""
    shutil.rmtree(folder, ignore_errors=True)
    other = Shop(folder)
    shutil.copyfile(shop.settings.warehouse_path, other.settings.warehouse_path)
    other.build("--full-refresh", *CHAIN, as_of=day)
    return state(other)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2])
def test_an_increment_equals_a_full_build_whatever_happened(tmp_path, seed):
    shop = Shop(tmp_path / "shop")
    history = History(shop, seed)
    history.live(60)
    shop.build(*CHAIN, as_of=history.day)
    for days, events in ((1, 25), (4, 0), (0, 25)):
        history.day += timedelta(days=days)
        if events:
            history.live(events)
        shop.build(*CHAIN, as_of=history.day)
        assert state(shop) == in_full(shop, tmp_path / "full", history.day)
    assert all(state(shop).values())
    assert shop.read(STARTS) == [(1,)]


def test_what_a_failed_build_left_half_done_is_caught_up_and_an_earlier_day_is_built_anew(tmp_path):
    shop = Shop(tmp_path / "shop")
    history = History(shop, 3)
    history.live(60)
    shop.build(*CHAIN, as_of=history.day)
    history.day += timedelta(days=1)
    history.live(20)
    shop.build("--select", "+int_order_lines", "--exclude-resource-type", "test", as_of=history.day)
    history.live(20)
    shop.build(*CHAIN, as_of=history.day)
    assert state(shop) == in_full(shop, tmp_path / "full", history.day)
    assert shop.read(STARTS) == [(1,)]

    earlier = history.day - timedelta(days=5)
    shop.build(*CHAIN, as_of=earlier)
    assert state(shop) == in_full(shop, tmp_path / "full", earlier)
    assert shop.read(STARTS) == [(2,)]


def test_what_somebody_else_s_line_moves_to_another_category_is_moved_for_all_its_buyers(tmp_path):
    shop = Shop(tmp_path / "shop")
    chain = ["--select", "+int_customer_categories", "--exclude-resource-type", "test"]
    for buyer, category in (("ann", "Gifts"), ("ben", "Home")):
        document = {"order_id": f"shop:{buyer}", "customer_id": f"shop:{buyer}"}
        document |= {"ordered_date": str(FIRST_DAY), "lines": [line(sku="rug", category=category)]}
        shop.place([document])
        shop.build(*chain, as_of=FIRST_DAY)
    assert shop.read(
        "select customer_id, category from intermediate.int_customer_categories order by all"
    ) == [("shop:ann", "Home"), ("shop:ben", "Home")]
    assert shop.read(STARTS) == [(1,)]


def test_tiers_are_decided_anew_from_the_first_month_that_changed(tmp_path):
    shop, other = Shop(tmp_path / "shop"), Shop(tmp_path / "full")
    draw = random.Random(1)
    spends: dict[tuple[str, date], int] = {}
    # Short windows, and many in a tier: whoever buys nothing falls soon.
    given = {
        "vip_spend_months": 3,
        "loyalty_grace_months": 2,
        "vip_tier_shares": {"platinum": 0.1, "gold": 0.3, "silver": 0.5, "bronze": 0.8},
    }
    shop.write(BUILDS)
    for build, (day, changed_months) in enumerate(
        (
            (date(2026, 1, 28), [*range(-20, 1)] * 6),
            (date(2026, 1, 29), [-1]),
            (date(2026, 2, 2), [-1, 0]),
            (date(2026, 5, 31), [-5, -1, 0]),
            (date(2026, 6, 30), []),
            (date(2026, 7, 1), [-22]),
        )
    ):
        for months in changed_months:
            number = 12 * day.year + day.month - 1 + months
            month = date(number // 12, number % 12 + 1, 1)
            spends[f"shop:{draw.randrange(15)}", month] = draw.choice([0, draw.randrange(-5, 100)])
        shop.write(
            SPENDS,
            customer_ids=[customer_id for customer_id, _ in spends],
            months=[month for _, month in spends],
            spends=list(spends.values()),
        )
        shop.write(FOLLOWED, build=build, day=day)
        shop.build("--select", "int_tier_periods", as_of=day, **given)
        shutil.copyfile(shop.settings.warehouse_path, other.settings.warehouse_path)
        other.build("--full-refresh", "--select", "int_tier_periods", as_of=day, **given)
        assert (found := shop.read(PERIODS)) == other.read(PERIODS)
        assert found
