"""Offers, referrals and points of a small shop, from its orders to what they brought."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.dbt_project.shops import AS_OF, Shop

SECRET = "a secret that is long enough to be one"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
OFFER = {
    "name": "second_order",
    "percent": "10",
    "amount": None,
    "currency": None,
    "valid_days": 14,
    "minimum_spend": "0",
}
AUDIENCES = [
    {
        "name": "new_customers",
        "priority": 1,
        "holdout_percent": 0,
        "exclusive_group": None,
        "destinations": [{"to": "mailchimp", "mode": "mirror", "fields": ["coupon_code"]}],
        "offer": OFFER,
    }
]
MODELS = (
    "+fct_offer_results",
    "+fct_referrals",
    "+dim_advocate_codes",
    "+fct_points_balances",
    "+desired_memberships",
    "declared_fields_are_columns_of_their_audience",
)
PEOPLE = """
insert into raw.contacts by name
select
    'shop' as source, 'shop:' || name as customer_id, name || '@post.net' as email,
    name || '@post.net' as email_key, true as has_email_consent,
    timestamp '2025-01-01' as updated_at
from (values ('ann'), ('ben'), ('cat')) as people(name)
"""


def code_of(text: str) -> str:
    """The code of a text, as the product documents it."""
    digits = hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest()
    bits = int(digits[:15], 16)
    return "".join(ALPHABET[bits >> place & 31] for place in range(0, 60, 5))


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    """Ann and Ben buy once; Ann comes back with her code, Cat comes with Ben's and returns all."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    day = AS_OF - timedelta(days=10)
    with pytest.MonkeyPatch.context() as patch:
        connection = {"conn_type": "offers", "password": SECRET}
        patch.setenv("AIRFLOW_CONN_OFFERS_DEFAULT", json.dumps(connection))
        shop.sell(
            [
                {"order_id": f"shop:{name}-1", "customer_id": f"shop:{name}", "ordered_date": day}
                for name in ("ann", "ben")
            ]
        )
        shop.write(PEOPLE)
        build(shop, AS_OF)
        [(code,)] = shop.read(
            "select code from marts_private.offer_codes where customer_id = 'shop:ann'"
        )
        shop.place(
            [
                {
                    "order_id": "shop:ann-2",
                    "customer_id": "shop:ann",
                    "ordered_date": str(AS_OF + timedelta(days=1)),
                    "currency": None,
                    "discount_codes": [code.lower()],
                },
                {
                    "order_id": "shop:cat-1",
                    "customer_id": "shop:cat",
                    "ordered_date": str(AS_OF + timedelta(days=1)),
                    "currency": None,
                    "discount_codes": ["FRIEND-" + code_of("referral:shop:ben")],
                    "refunds": [
                        {
                            "refund_id": "1",
                            "line_id": "1",
                            "kind": "line",
                            "quantity": 1,
                            "amount": 10,
                            "refunded_at": str(AS_OF + timedelta(days=20)),
                        }
                    ],
                },
            ]
        )
        build(shop, AS_OF + timedelta(days=2))
        yield shop


def build(shop: Shop, day: date) -> None:
    only_these = ("--indirect-selection", "cautious")
    # By the rhythm of two orders everybody would have lapsed by the second day.
    given = {
        "audiences": AUDIENCES,
        "lapse_method": "fixed_days",
        "advocate_min_orders": 1,
        "referral_code_prefix": "Friend-",
        "referral_friend_offer": {"percent": 10},
    }
    shop.build("--select", *MODELS, *only_these, as_of=day, **given)


def test_codes_are_the_hmac_of_the_offer_with_a_secret_that_is_written_nowhere(shop):
    codes = dict(shop.read("select offer_id, code from marts_private.offer_codes"))
    assert len(codes) == 3
    assert codes == {offer_id: code_of(f"offer:{offer_id}") for offer_id in codes}
    files = [file for file in Path(shop.settings.home).rglob("*") if file.is_file()]
    assert any(file.name == "manifest.json" for file in files)
    for file in files:
        content = file.read_bytes()
        assert SECRET.encode() not in content
        if file.suffix != ".duckdb":
            assert not any(code.encode() in content for code in codes.values())


def test_who_stays_keeps_the_code_of_the_entry_and_who_left_has_used_theirs(shop):
    assert shop.read(
        "select customer_id, issued_date, ends_on, is_held, offer_state, redeemed_order_id"
        " from marts.offers order by customer_id"
    ) == [
        ("shop:ann", AS_OF, AS_OF + timedelta(days=14), False, "redeemed", "shop:ann-2"),
        ("shop:ben", AS_OF, AS_OF + timedelta(days=14), True, "open", None),
        ("shop:cat", AS_OF + timedelta(days=2), AS_OF + timedelta(days=16), True, "open", None),
    ]
    assert shop.read(
        "select issued_count, redeemed_count, returning_customer_count, net_revenue::double"
        " from marts.offer_results"
    ) == [(3, 1, 1, 10)]


def test_what_is_published_names_the_offer_and_never_the_code(shop):
    assert shop.read(
        "select customer_id, json_extract_string(payload, '$.coupon_code') = offer_id"
        " from marts.desired_memberships inner join marts.offers using (customer_id)"
        " order by customer_id"
    ) == [("shop:ben", True), ("shop:cat", True)]


def test_a_look_at_a_past_day_forgets_nobody_who_entered_since(shop):
    remembered = (
        "select * exclude (is_held) from marts_private.offer_codes order by all",
        "from marts.audience_members order by all",
        "from intermediate.int_audience_assignments order by all",
    )
    before = [shop.read(query) for query in remembered]
    assert all(before)
    for days in (-20, -8):
        build(shop, AS_OF + timedelta(days=days))
    build(shop, AS_OF + timedelta(days=2))
    assert [shop.read(query) for query in remembered] == before


def test_an_advocates_code_is_told_to_the_shops_with_what_it_is_worth_to_a_friend(shop):
    """Ben and Cat are new customers, who are not asked yet."""
    assert shop.read(
        "select customer_id, code, percent::integer, amount, currency, minimum_spend::integer"
        " from marts_private.advocate_codes"
    ) == [("shop:ann", "FRIEND-" + code_of("referral:shop:ann"), 10, None, None, 0)]


def test_a_friends_first_order_is_attributed_and_pays_only_once_it_cannot_be_returned(shop):
    query = "select advocate_customer_id, reward_state, fraud_reason from marts.referrals"
    assert shop.read(query) == [("shop:ben", "pending", None)]
    build(shop, AS_OF + timedelta(days=19))
    assert shop.read(query) == [("shop:ben", "due", None)]
    build(shop, AS_OF + timedelta(days=21))
    assert shop.read(query) == [("shop:ben", "refused", "order_cancelled")]


def test_entries_add_up_to_the_balance_and_a_full_refund_leaves_nothing_earned(shop):
    build(shop, AS_OF + timedelta(days=21))
    assert shop.read(
        "select customer_id, balance, earned_points, reversed_points, sum(points)"
        " from marts.points_ledger inner join marts.points_balances using (customer_id)"
        " group by all order by all"
    ) == [
        ("shop:ann", 20, 20, 0, 20),
        ("shop:ben", 10, 10, 0, 10),
        ("shop:cat", 0, 10, 10, 0),
    ]
