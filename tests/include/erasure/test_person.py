from __future__ import annotations

import pytest

from include.erasure.person import Request, find_people, plain
from include.landing import ingest
from include.warehouse import visit
from tests.include.erasure.test_pages import CONTACTS, HEADER
from tests.include.sources.shops import ANN, LINES, declare, write_csv

FAMILY = "+4930123456"


@pytest.fixture
def settings(tmp_path):
    settings = declare(tmp_path, LINES, CONTACTS)
    write_csv(tmp_path / "export" / "a.csv", [ANN])
    rows = [
        ["ann", "ann@shop.test", "Ann", FAMILY, "DE"],
        ["ann2", "ann@shop.test", "Ann", "+4915123456789", "DE"],
        ["ben", "ben@shop.test", "Ben", FAMILY, "DE"],
    ]
    write_csv(tmp_path / "contacts.csv", rows, HEADER)
    ingest(settings)
    return settings


def found(settings, *named):
    with visit(settings) as warehouse:
        return find_people(warehouse, None, [Request("r", named)])


def test_an_address_leads_to_every_account_and_number_of_its_own(settings):
    people = found(settings, ("email", "ann@shop.test"))
    assert people.values("platform_id") == ["shop:ann", "shop:ann2"]
    assert people.values("phone") == ["+4915123456789"]


def test_a_number_that_others_go_by_too_is_the_persons_only_if_the_request_says_so(settings):
    assert FAMILY not in found(settings, ("platform_id", "shop:ann")).values("phone")
    both = found(settings, ("phone", FAMILY))
    assert both.values("platform_id") == ["shop:ann", "shop:ben"]
    assert FAMILY in both.values("phone")


def test_the_identity_graph_leads_to_accounts_that_share_nothing_with_the_request(settings):
    with visit(settings) as warehouse:
        warehouse.connection.execute(
            """
            create schema marts;
            create table marts.customer_identities as
            select
                'platform_id' as identifier_kind,
                identifier,
                md5('platform_id:' || identifier)::uuid as identifier_key,
                'shop:ann' as customer_id
            from (values ('shop:ann'), ('till:77')) as known(identifier);
            """
        )
    people = found(settings, ("platform_id", "till:77"))
    assert people.values("platform_id") == ["shop:ann", "till:77"]
    assert people.values("email") == ["ann@shop.test"]


def test_what_people_write_is_an_address_or_an_international_number():
    assert plain(" Ann@Shop.test ") == ("email", "ann@shop.test")
    assert plain("Mu\u0308ller@Shop.test") == ("email", "m\u00fcller@shop.test")
    assert plain("+49 30 123456") == ("phone", "+4930123456")
    assert plain("ann") is None
    assert plain("0151 2345") is None


def test_nobody_is_shown_when_printed(settings):
    asked = Request("r", (("email", "ann@shop.test"),))
    assert "ann@" not in repr(asked)
    assert "ann" not in repr(found(settings, *asked.named))
