"""Whole builds of a small shop, one day after the other."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import pytest

from include.dbt import run_dbt
from tests.dbt_project.shops import AS_OF, Shop

MEMBERSHIPS = "select channel, audience, customer_id, member_key, fingerprint, payload"
CONTACTS = """
insert into raw.contacts by name
select distinct
    source, customer_id, customer_id || '@example.com' as email, true as has_email_consent,
    true as has_ads_consent, timestamp '2025-01-01' as updated_at
from raw.order_lines
"""

SETTLED = "int_audience_assignments held_out membership_decisions"
DECISIONS = "from marts.membership_decisions where medium = 'email' and is_switched_on"
LET_IN = f"""
    select customer_id, audience {DECISIONS} and decision in ('included', 'held_out')
    and audience != 'mailable_customers'
"""


def orders_of(customer: str, count: int, gap: int, last: date, amount: int) -> list[dict]:
    """`count` orders of one customer, `gap` days apart, the latest on `last`."""
    return [
        {
            "order_id": f"shop:{customer}-{number}",
            "customer_id": f"shop:{customer}",
            "ordered_date": last - timedelta(days=gap * number),
            "unit_price": amount,
            "gross_amount": amount,
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    for number in range(30):
        quiet = 200 if number % 3 == 0 else 5
        last = AS_OF - timedelta(days=quiet)
        shop.sell(orders_of(f"c{number}", 1 + number % 6, 20, last, 10 + number))
    shop.sell(orders_of("best", 8, 20, AS_OF - timedelta(days=3), 500))
    shop.sell(orders_of("second best", 8, 20, AS_OF - timedelta(days=3), 400))
    shop.write(CONTACTS)
    shop.build()
    return shop


def test_every_unit_test_of_the_models_passes(shop):
    run_dbt(shop.settings, ["--quiet", "test", "--select", "test_type:unit"], AS_OF)


def test_a_build_of_the_same_day_changes_nothing_that_is_sent(shop):
    query = f"{MEMBERSHIPS} from marts.desired_memberships order by all"
    before = shop.read(query)
    shop.build()
    assert before
    assert shop.read(query) == before


def test_the_next_day_keeps_the_day_of_entry_and_the_holdout(shop):
    query = "select audience, customer_id, entered_at from marts.audience_members order by all"
    held_out = shop.read("from marts.held_out order by all")
    before = set(shop.read(query))
    shop.build(as_of=AS_OF + timedelta(days=1))
    after = set(shop.read(query))
    assert {day.date() for *_, day in after & before} == {AS_OF}
    assert {day.date() for *_, day in after - before} <= {AS_OF + timedelta(days=1)}
    assert held_out
    assert set(held_out) <= set(shop.read("from marts.held_out"))


def test_a_complaint_takes_somebody_out_of_every_channel(shop):
    query = "select * from marts.desired_memberships where customer_id = 'shop:best'"
    assert shop.read(query)
    shop.write(
        "update raw.contacts set suppressed_reason = 'complained' where customer_id = 'shop:best'"
    )
    shop.build()
    assert shop.read(query) == []
    assert shop.read("select is_vip from marts.customers where customer_id = 'shop:best'") == [
        (True,)
    ]


def test_a_cap_lets_one_promotion_a_week_take_up_each_customer_and_then_the_next(shop):
    """As if nobody had been spoken to before; what is held back by the cap comes a week later."""
    shop.write("drop table intermediate.int_audience_assignments")
    begun = AS_OF + timedelta(days=2)

    def promotions(days: int) -> dict[str, set[str]]:
        day = begun + timedelta(days=days)
        cap = {"email": 1, "ads": None}
        shop.build("--select", SETTLED, as_of=day, promotions_per_week=cap)
        let_in = defaultdict(set)
        for customer_id, audience in shop.read(LET_IN):
            let_in[customer_id].add(audience)
        return let_in

    first = promotions(days=0)
    capped = set(shop.read(f"select customer_id {DECISIONS} and decision = 'capped'"))
    assert capped
    assert {len(audiences) for audiences in first.values()} == {1}
    assert promotions(days=1) == first
    second = promotions(days=7)
    for (customer_id,) in capped:
        assert len(second[customer_id]) == 2
        assert first[customer_id] < second[customer_id]
