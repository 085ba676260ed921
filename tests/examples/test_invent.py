from __future__ import annotations

from pathlib import Path

import duckdb
import phonenumbers
import pytest

from examples.invent import invent_answers, invent_contacts


@pytest.fixture
def orders(tmp_path):
    file = tmp_path / "orders.parquet"
    # Customer n stands in n lines; the last lines are a guest's.
    duckdb.sql(
        "select nullif(c, 401) as buyer from range(1, 402) as customers(c), range(401) as lines(l)"
        " where l < c"
    ).write_parquet(str(file))
    return str(file)


def test_the_same_customers_get_the_same_contacts_byte_for_byte(orders, tmp_path):
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    assert invent_contacts(orders, "buyer", first) == 400
    assert invent_contacts(orders, "buyer", second) == 400
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("country", ["US", "GB"])
def test_nobody_can_be_reached_and_nobody_shares_a_number(orders, country, tmp_path):
    target = tmp_path / "contacts.parquet"
    invent_contacts(orders, "buyer", target, country)
    contacts = duckdb.from_parquet(str(target)).to_arrow_table().to_pylist()
    domains = {contact["email"].split("@")[1] for contact in contacts}
    numbers = [phonenumbers.parse(contact["phone"]) for contact in contacts]
    fiction = ("55501", "4960")
    assert domains == {"shoppers.regulars.example", "example.com"}
    assert all(any(part in contact["phone"] for part in fiction) for contact in contacts)
    assert all(phonenumbers.is_valid_number(number) for number in numbers)
    assert len({contact["phone"] for contact in contacts}) == 400


def test_the_three_busiest_customers_are_the_ones_that_mailchimp_refuses(orders, tmp_path):
    target = tmp_path / "contacts.parquet"
    invent_contacts(orders, "buyer", target)
    refused = duckdb.from_parquet(str(target)).filter("ends_with(email, '@example.com')")
    rows = refused.select("customer_key, has_email_consent, suppressed_reason").fetchall()
    assert rows == [("398", True, None), ("399", True, None), ("400", True, None)]


def test_consent_is_given_by_most_but_not_by_all(orders, tmp_path):
    target = tmp_path / "contacts.parquet"
    invent_contacts(orders, "buyer", target)
    shares = duckdb.from_parquet(str(target)).aggregate(
        "avg(has_email_consent::integer), avg(has_ads_consent::integer), count(suppressed_reason)"
    )
    email, ads, suppressed = shares.fetchone()
    assert 0.75 < email < 0.95
    assert 0.5 < ads < 0.7
    assert 0 < suppressed < 20


def test_most_tell_a_birthday_and_the_days_are_those_of_adults(orders, tmp_path):
    target = tmp_path / "contacts.parquet"
    invent_contacts(orders, "buyer", target)
    told = duckdb.from_parquet(str(target)).aggregate(
        "count(birthday) / count(*), min(birthday) >= '1940-01-01', max(birthday) < '2006-01-01'"
    )
    share, is_old_enough, is_not_too_young = told.fetchone()
    assert 0.5 < share < 0.7
    assert (is_old_enough, is_not_too_young) == (True, True)


def test_a_quarter_answers_and_never_after_the_last_order(tmp_path):
    orders, first, second = (str(tmp_path / f"{name}.parquet") for name in ("orders", "a", "b"))
    duckdb.sql(
        "select buyer, timestamp '2017-01-01' + to_days(buyer % 300 + n) as moment"
        " from range(1, 1001) as buyers(buyer), range(30) as orders(n)"
    ).write_parquet(orders)
    count = invent_answers(orders, "buyer", "moment", Path(first))
    assert invent_answers(orders, "buyer", "moment", Path(second)) == count
    assert Path(first).read_bytes() == Path(second).read_bytes()
    answers = duckdb.from_parquet(first)
    latest = answers.aggregate("max(answered_at) <= timestamp '2017-11-25'").fetchone()
    nps = answers.filter("kind = 'nps'").aggregate(
        "count(*), min(score), max(score), avg((score >= 9)::integer)"
    )
    customers, lowest, highest, promoters = nps.fetchone()
    assert latest == (True,)
    assert 200 < customers < 300
    assert (lowest, highest) == (0, 10)
    assert 0.3 < promoters < 0.6
    assert answers.filter("kind = 'csat' and score not between 1 and 5").fetchall() == []
