"""What a changed address and a merge of customers do to what a destination holds."""

from __future__ import annotations

from hashlib import md5
from pathlib import Path

import httpx
import pytest

from include.activation.plan import Plan
from tests.dbt_project.shops import Shop
from tests.include.activation.shop import Person
from tests.include.activation.test_plan import Desk
from tests.sandbox_server import Sandbox

NOBODY = Sandbox("http://127.0.0.1:9", httpx.Client())
CONTACT = """
insert into raw.contacts by name
select 'shop' as source, $customer as customer_id, $email as email, $email as email_key,
    true as has_email_consent, timestamp '2026-01-01' as updated_at
"""
WANTED = """
select customer_id, email
from marts.desired_memberships
inner join marts_private.contacts using (customer_id)
where channel = 'mailchimp' and audience = 'mailable_customers'
order by all
"""


def subscriber(email: str) -> str:
    return md5(email.encode()).hexdigest()


class Chain:
    """A shop's models, and a plan for Mailchimp made of what they want."""

    def __init__(self, home: Path) -> None:
        self.shop = Shop(home / "models")
        self.desk = Desk(home / "activation")

    def plan(self) -> Plan:
        self.shop.build()
        people = [Person(customer, email) for customer, email in self.shop.read(WANTED)]
        plan, _ = self.desk.plan(people)
        self.desk.answer(plan, {})
        self.desk.fold(plan)
        return plan

    def sent(self, plan: Plan) -> set[tuple[str, str]]:
        return {
            (row["operation"], row["identity"])
            for row in self.desk.rows(plan)
            if row["batch_number"]
        }

    def held(self) -> list[str]:
        return sorted(row["identity"] for row in self.desk.shop.state("mailchimp"))


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    chain = Chain(tmp_path)
    chain.shop.place(
        [
            {"order_id": f"shop:{n}", "customer_id": f"shop:{n}", "ordered_date": f"2026-01-0{n}"}
            for n in (1, 2, 3)
        ]
    )
    for n, email in enumerate(["ann@post.net", "ben@post.net", "cat@post.net"], start=1):
        chain.shop.write(CONTACT, customer=f"shop:{n}", email=email)
    chain.plan()
    return chain


def test_a_changed_address_and_a_merge_replace_the_old_hashes_in_one_plan(chain: Chain):
    assert len(chain.held()) == 3
    chain.shop.write(
        "update raw.contacts set email = 'ann@new.net', email_key = 'ann@new.net'"
        " where customer_id = 'shop:1';"
        "update raw.contacts set phone_key = '+491', phone = '+491' where customer_id != 'shop:1';"
        "update raw.contacts set updated_at = '2026-01-09' where customer_id = 'shop:3'"
    )
    plan = chain.plan()
    assert chain.shop.read("select customer_id, order_count from marts.customers order by all") == [
        ("shop:1", 1),
        ("shop:2", 2),
    ]
    # Cat's address stays, now as that of the customer she is one with: it is only made sure of.
    assert chain.sent(plan) == {
        ("remove", subscriber("ann@post.net")),
        ("remove", subscriber("ben@post.net")),
        ("add", subscriber("ann@new.net")),
        ("update", subscriber("cat@post.net")),
    }
    assert chain.held() == sorted(map(subscriber, ["ann@new.net", "cat@post.net"]))
    state = chain.desk.shop.state("mailchimp")
    assert {row["customer_id"] for row in state} == {"shop:1", "shop:2"}


def test_who_was_erased_does_not_come_back_under_another_account(chain: Chain):
    chain.shop.write(
        "insert into raw.erasure_requests by name select 'desk' as source, '1' as request_id,"
        " 'ann@post.net' as email_key, timestamp '2026-01-05' as requested_at;"
        "delete from raw.contacts where customer_id = 'shop:1'"
    )
    chain.shop.write(CONTACT, customer="shop:9", email="ann@post.net")
    plan = chain.plan()
    assert chain.sent(plan) == {("remove", subscriber("ann@post.net"))}
    assert chain.shop.read(
        "select suppressed_reason from marts.customers where customer_id = 'shop:9'"
    ) == [("erased",)]
