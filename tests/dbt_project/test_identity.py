"""Who is one customer: what holds for any history of accounts, guests, addresses and telephones."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from hashlib import md5
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.settings import PROJECT
from tests.dbt_project.compiled import Models

SOME = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
MOST_PEOPLE = 5
SIGNS = pd.read_csv(PROJECT / "dbt_project/seeds/unlinkable_addresses.csv")

Mention = tuple[str | None, str | None, str | None]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return Models(tmp_path_factory.mktemp("compiled"), "dim_customer_identities")


def node(kind: str, value: str | None) -> str | None:
    return value and str(UUID(md5(f"{kind}:{value}".encode()).hexdigest()))


def frame_of(mentions: list[Mention]) -> pd.DataFrame:
    rows = []
    for number, (account, email, phone) in enumerate(mentions):
        name, _, domain = (email or "@").partition("@")
        seen = datetime(2026, 1, 1) + timedelta(days=number)
        rows.append(
            {
                "source": "shop",
                "told_by": "order",
                "customer_id": account,
                "platform_node": node("platform_id", account),
                "email_node": node("email", email),
                "phone_node": node("phone", phone),
                "email_name": name or None,
                "email_domain": domain or None,
                "first_seen_at": seen,
                "first_ordered_at": seen,
            }
        )
    return pd.DataFrame(rows)


def identities(models: Models, mentions: pd.DataFrame) -> dict[str, dict[str, Any]]:
    warehouse = models.warehouse()
    warehouse.connection.register("frame", mentions)
    warehouse.connection.execute(
        "create table intermediate.int_identity_mentions as select * replace ("
        " platform_node::uuid as platform_node, email_node::uuid as email_node,"
        " phone_node::uuid as phone_node, customer_id::varchar as customer_id,"
        " email_name::varchar as email_name, email_domain::varchar as email_domain) from frame"
    )
    warehouse.make("unlinkable_addresses", SIGNS)
    return {row["identifier_key"]: row for row in warehouse.build("dim_customer_identities")}


def customers(models: Models, mentions: list[Mention]) -> dict[str, str | None]:
    """The customer of every identifier, by its plain value."""
    found = identities(models, frame_of(mentions))
    kinds = ("platform_id", "email", "phone")
    plain = {(kind, value) for row in mentions for kind, value in zip(kinds, row, strict=True)}
    return {
        value: found[node(kind, value)]["customer_id"] for kind, value in plain if value is not None
    }


accounts = st.sampled_from([None, None, *(f"shop:{n}" for n in range(9))])
emails = st.sampled_from([None, *(f"{name}@post.net" for name in "abcd"), "info@post.net"])
phones = st.sampled_from([None, None, "+491", "+492", "+493"])
MENTIONS = st.lists(
    st.tuples(accounts, emails, phones).filter(any), min_size=1, max_size=24, unique=True
)


@SOME
@given(mentions=MENTIONS, seed=st.integers(0, 2**16))
def test_the_order_of_the_rows_changes_nobody(models, mentions, seed):
    rows = frame_of(mentions)
    assert identities(models, rows) == identities(models, rows.sample(frac=1, random_state=seed))


@SOME
@given(mentions=MENTIONS)
def test_nobody_is_made_of_too_many_accounts_and_every_account_is_somebody(models, mentions):
    rows = identities(models, frame_of(mentions)).values()
    accounts = Counter(
        row["customer_id"] for row in rows if row["identifier_kind"] == "platform_id"
    )
    assert None not in accounts
    assert all(count <= MOST_PEOPLE for count in accounts.values())


@SOME
@given(mentions=MENTIONS)
def test_where_nothing_is_refused_customers_are_what_hangs_together(models, mentions):
    found = identities(models, frame_of(mentions))
    if any(row["is_refused"] for row in found.values()):
        return
    groups: dict[str, set[str]] = {}
    for account, email, phone in mentions:
        nodes = {node("platform_id", account), node("email", email), node("phone", phone)} - {None}
        joined = set.union(nodes, *(groups.get(one, set()) for one in nodes))
        groups.update(dict.fromkeys(joined, joined))
    named = defaultdict(set)
    for key, row in found.items():
        named[row["customer_id"]].add(key)
    assert {frozenset(group) for group in groups.values()} == {
        frozenset(group) for group in named.values()
    }


def test_guests_accounts_shops_and_changed_addresses_are_one_customer_by_the_account_seen_first(
    models,
):
    found = customers(
        models,
        [
            (None, "ann@post.net", "+491"),
            ("shop:2", "ann@post.net", None),
            ("shop:2", "ann@new.net", None),
            ("till:1", None, "+491"),
            (None, "ben@post.net", None),
        ],
    )
    ben = found.pop("ben@post.net")
    assert ben == f"guest:{md5(b'email:ben@post.net').hexdigest()}"
    assert set(found.values()) == {"shop:2"}


def test_what_joined_an_id_is_named(models):
    found = identities(
        models,
        frame_of([("shop:1", "ann@post.net", "+491"), ("till:1", None, "+491")]),
    )
    till = found[node("platform_id", "till:1")]
    assert till["linked_through"] == f"phone:{md5(b'phone:+491').hexdigest()}"
    assert till["linked_at"] == datetime(2026, 1, 2)
    assert found[node("email", "ann@post.net")]["linked_through"] == "shop:1"


@pytest.mark.parametrize(
    ("shared", "reason"),
    [("info@firm.net", "role_address"), ("a@example.com", "reserved_domain")],
)
def test_an_address_that_is_no_single_person_s_joins_nobody_and_is_listed(models, shared, reason):
    mentions = [("shop:1", shared, None), ("shop:2", shared, None), (None, shared, None)]
    assert customers(models, mentions)["shop:2"] == "shop:2"
    row = identities(models, frame_of(mentions))[node("email", shared)]
    assert (row["is_refused"], row["refused_reason"], row["people_count"]) == (True, reason, 2)


def test_a_firm_s_mailbox_names_its_guest_and_a_made_up_address_nobody(models):
    found = customers(
        models,
        [
            (None, "info@firm.net", None),
            ("shop:1", "info@firm.net", None),
            (None, "a@b.test", None),
        ],
    )
    assert found["info@firm.net"] == f"guest:{md5(b'email:info@firm.net').hexdigest()}"
    assert found["a@b.test"] is None


@pytest.mark.parametrize("count", [MOST_PEOPLE, MOST_PEOPLE + 1])
def test_a_telephone_joins_so_many_people_and_not_one_more(models, count):
    mentions = [(f"shop:{n}", None, "+491") for n in range(count)]
    found = customers(models, mentions)
    ids = {found[f"shop:{n}"] for n in range(count)}
    assert len(ids) == (1 if count == MOST_PEOPLE else count)
    row = identities(models, frame_of(mentions))[node("phone", "+491")]
    assert row["refused_reason"] == (None if count == MOST_PEOPLE else "too_many_people")


@pytest.mark.parametrize("length", [MOST_PEOPLE + 1, 60])
def test_a_chain_of_too_many_people_falls_apart_at_its_telephones(models, length):
    chain = []
    for n in range(length):
        chain.append((f"shop:{n:02}", f"{n // 2}@post.net", f"+49{(n + 1) // 2}"))
    found = customers(models, chain)
    assert found["shop:00"] == found["shop:01"] == "shop:00"
    assert found["shop:02"] == found["shop:03"] == "shop:02"
    assert found["+491"] is None
