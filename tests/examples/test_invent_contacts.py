from __future__ import annotations

import duckdb
import phonenumbers
import pytest

from examples.invent_contacts import invent


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
    assert invent(orders, "buyer", first) == 400
    assert invent(orders, "buyer", second) == 400
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("country", ["US", "GB"])
def test_nobody_can_be_reached_and_nobody_shares_a_number(orders, country, tmp_path):
    target = tmp_path / "contacts.parquet"
    invent(orders, "buyer", target, country)
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
    invent(orders, "buyer", target)
    refused = duckdb.from_parquet(str(target)).filter("ends_with(email, '@example.com')")
    rows = refused.select("customer_key, has_email_consent, suppressed_reason").fetchall()
    assert rows == [("398", True, None), ("399", True, None), ("400", True, None)]


def test_consent_is_given_by_most_but_not_by_all(orders, tmp_path):
    target = tmp_path / "contacts.parquet"
    invent(orders, "buyer", target)
    shares = duckdb.from_parquet(str(target)).aggregate(
        "avg(has_email_consent::integer), avg(has_ads_consent::integer), count(suppressed_reason)"
    )
    email, ads, suppressed = shares.fetchone()
    assert 0.75 < email < 0.95
    assert 0.5 < ads < 0.7
    assert 0 < suppressed < 20


def test_most_tell_a_birthday_and_the_days_are_those_of_adults(orders, tmp_path):
    target = tmp_path / "contacts.parquet"
    invent(orders, "buyer", target)
    told = duckdb.from_parquet(str(target)).aggregate(
        "count(birthday) / count(*), min(birthday) >= '1940-01-01', max(birthday) < '2006-01-01'"
    )
    share, is_old_enough, is_not_too_young = told.fetchone()
    assert 0.5 < share < 0.7
    assert (is_old_enough, is_not_too_young) == (True, True)
