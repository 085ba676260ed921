"""The double of Shopify's Admin API, asked over HTTP; its schema, held against Shopify's own."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from typing import Any

import graphql
import httpx
import pytest

from include.offers import shopify as offers
from include.sandbox.shopify.bulk import refusals
from include.sandbox.shopify.execution import ACCESS, load_schema
from include.sources.shopify_queries import DOCUMENTS
from tests.include.sandbox.test_specs import SPECS
from tests.sandbox_server import start_sandbox
from tests.waiting import until

PATH = "/shopify/admin/api/2026-10/graphql.json"
WHOLE = SPECS / "shopify_admin_2026-10.introspection.json.gz"
DAY = "2026-03-0{}T10:00:00Z"
FIRST = DAY.format(1)
ORDER = {
    "created_at": DAY.format(1),
    "lines": [{"id": 1, "sku": "mug"}, {"id": 2, "sku": "cup"}, {"id": 3, "sku": "jug"}],
}
BULK = """
mutation ($query: String!) {
  bulkOperationRunQuery(query: $query, groupObjects: false) {
    bulkOperation { id status } userErrors { code message }
  }
}
"""
POLL = """
query ($id: ID!) {
  node(id: $id) {
    ... on BulkOperation { status errorCode url partialDataUrl objectCount rootObjectCount }
  }
}
"""
SENT = DOCUMENTS | {f"offers {name}": text for name, text in offers.DOCUMENTS.items()}
needs_whole = pytest.mark.skipif(
    not WHOLE.exists(), reason=f"Shopify's introspection result is not in {SPECS}"
)


@cache
def described() -> dict[str, Any]:
    return json.loads(gzip.decompress(WHOLE.read_bytes()))


@cache
def whole() -> graphql.GraphQLSchema:
    return graphql.build_client_schema(described()["data"], assume_valid=True)


@pytest.fixture
def ask(sandbox):
    def ask(text: str, /, **variables: Any) -> dict[str, Any]:
        body = {"query": text, "variables": variables}
        headers = {"X-Shopify-Access-Token": "a-token"}
        answer = sandbox.http.post(PATH, json=body, headers=headers)
        assert answer.status_code == 200
        return answer.json()

    return ask


@pytest.fixture
def shop(sandbox):
    """Five orders of a day each, one customer and one product."""
    sandbox.post("/_shopify", {"now": DAY.format(9)})
    put(sandbox, "customers", 5, {"created_at": DAY.format(1), "email": "ann@shoppers.example"})
    put(sandbox, "products", 7, {"created_at": DAY.format(1), "variants": [{"id": 8}]})
    for number in range(1, 6):
        put(sandbox, "orders", number, ORDER, DAY.format(number))
    return sandbox


def put(sandbox, kind, number, document, at=FIRST):
    path = f"/_shopify/{kind}/{number}"
    sandbox.http.put(path, params={"at": at}, json=document).raise_for_status()


class TestSchema:
    @pytest.mark.parametrize("name", SENT)
    def test_everything_that_the_source_sends_is_valid_and_nothing_is_deprecated(self, name):
        document = graphql.parse(SENT[name])
        schemas = [load_schema()] + ([whole()] if WHOLE.exists() else [])
        rules = [*graphql.specified_rules, graphql.NoDeprecatedCustomRule]
        for schema in schemas:
            assert graphql.validate(schema, document, rules) == []

    def test_bulk_queries_are_such_as_shopify_runs(self):
        bulk = [text for name, text in DOCUMENTS.items() if name.startswith("BULK")]
        assert len(bulk) == 3
        for text in bulk:
            assert refusals(load_schema(), text) == []

    @needs_whole
    def test_what_is_answered_is_a_part_of_shopifys_schema_word_for_word(self):
        part = graphql.introspection_from_schema(load_schema())["__schema"]["types"]
        theirs = {kind["name"]: kind for kind in described()["data"]["__schema"]["types"]}
        assert len(part) > 60
        for kind in part:
            if kind["name"].startswith("__"):
                continue
            known = theirs[kind["name"]]
            assert kind["kind"] == known["kind"]
            assert names(kind["interfaces"]) <= names(known["interfaces"])
            assert names(kind["enumValues"]) == names(known["enumValues"])
            fields = {field["name"]: field for field in known["fields"] or []}
            for field in kind["fields"] or []:
                assert bare(field) == bare(fields[field["name"]])

    @needs_whole
    def test_scopes_are_asked_for_as_shopify_says(self):
        told = {
            item["typeName"]: item["offlineScopes"]
            for item in described()["offline_scopes"]["items"]
            if item["type"] == "type"
        }
        for kind, scopes in ACCESS.items():
            assert set(scopes) <= set(told[kind])


def names(items):
    return {item["name"] for item in items or []}


def bare(field):
    """A field without its descriptions."""
    arguments = {
        argument["name"]: (kind_of(argument["type"]), argument["defaultValue"])
        for argument in field["args"]
    }
    return kind_of(field["type"]), arguments, field["isDeprecated"]


def kind_of(kind):
    inner = kind.get("ofType")
    return (kind["kind"], kind["name"], kind_of(inner) if inner else None)


class TestQueries:
    def test_a_token_is_needed_and_can_be_refused(self, sandbox):
        body = {"query": "{ shop { name } }"}
        assert sandbox.http.post(PATH, json=body).status_code == 401
        sandbox.post("/_shopify", {"token": "right"})
        for token, status in (("wrong", 401), ("right", 200)):
            headers = {"X-Shopify-Access-Token": token}
            assert sandbox.http.post(PATH, json=body, headers=headers).status_code == status

    def test_what_the_schema_does_not_know_is_an_error(self, ask):
        [error] = ask("{ shop { color } }")["errors"]
        assert error["message"] == "Cannot query field 'color' on type 'Shop'."

    def test_pages_follow_the_cursor_by_value_and_id(self, shop, ask):
        query = """
        query ($after: String) {
          orders(first: 2, after: $after, query: "updated_at:>='2026-03-02T10:00:00Z'",
                 sortKey: UPDATED_AT) { nodes { id } pageInfo { hasNextPage endCursor } }
        }
        """
        seen, after = [], None
        while True:
            page = ask(query, after=after)["data"]["orders"]
            seen += [node["id"].rpartition("/")[2] for node in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
            told = json.loads(base64.b64decode(after))
            assert set(told) == {"last_id", "last_value"}
            # An order that changes between two pages comes again, at the end.
            put(shop, "orders", 2, ORDER, DAY.format(8))
        assert seen == ["2", "3", "4", "5", "2"]
        assert told["last_value"] == "2026-03-05 10:00:00.000000"

    def test_a_connection_inside_a_record_has_pages_of_its_own(self, shop, ask):
        query = """
        query ($after: String) {
          node(id: "gid://shopify/Order/1") { ... on Order {
            lineItems(first: 2, after: $after) { nodes { sku } pageInfo { hasNextPage endCursor } }
          } }
        }
        """
        first = ask(query)["data"]["node"]["lineItems"]
        assert [line["sku"] for line in first["nodes"]] == ["mug", "cup"]
        rest = ask(query, after=first["pageInfo"]["endCursor"])["data"]["node"]["lineItems"]
        assert [line["sku"] for line in rest["nodes"]] == ["jug"]
        assert not rest["pageInfo"]["hasNextPage"]

    def test_counts_say_how_exact_they_are(self, shop, ask):
        query = "query ($limit: Int) { ordersCount(limit: $limit) { count precision } }"
        assert ask(query, limit=10)["data"]["ordersCount"] == {"count": 5, "precision": "EXACT"}
        assert ask(query, limit=3)["data"]["ordersCount"] == {"count": 3, "precision": "AT_LEAST"}

    def test_money_is_what_lines_discounts_and_refunds_make_of_it(self, sandbox, ask):
        lines = [{"id": 1, "quantity": 2, "price": "10.00", "discount": "2.00"}, {"id": 2}]
        paid = [{"id": 1, "amount": "33.00", "processed_at": DAY.format(1)}]
        order = ORDER | {"lines": lines, "shipping": "5.00", "transactions": paid}
        put(sandbox, "orders", 1, order)
        status = '{ order: node(id: "gid://shopify/Order/1") { ... on Order { %s } } }'
        fields = """
            displayFinancialStatus edited lineItems(first: 9) { nodes { quantity currentQuantity } }
            totalPriceSet { shopMoney { amount } } totalRefundedSet { shopMoney { amount } }
            originalTotalPriceSet { shopMoney { amount } }
        """
        before = ask(status % fields)["data"]["order"]
        assert before["displayFinancialStatus"] == "PAID"
        assert before["totalPriceSet"]["shopMoney"]["amount"] == "33.00"
        back = [{"line_id": 1, "quantity": 1, "subtotal": "9.00"}]
        refund = {"id": 9, "processed_at": DAY.format(2), "lines": back, "adjustment": "1.00"}
        sandbox.post("/_shopify/orders/1/refund", refund)
        money = {"id": 2, "kind": "REFUND", "amount": "8.00", "processed_at": DAY.format(2)}
        sandbox.post("/_shopify/orders/1/transaction", money)
        sandbox.post("/_shopify/orders/1/edit", {"remove": {"2": 1}})
        after = ask(status % fields)["data"]["order"]
        assert (after["displayFinancialStatus"], after["edited"]) == ("PARTIALLY_REFUNDED", True)
        quantities = [(n["quantity"], n["currentQuantity"]) for n in after["lineItems"]["nodes"]]
        assert quantities == [(2, 1), (1, 0)]
        assert after["totalRefundedSet"]["shopMoney"]["amount"] == "8.00"
        assert after["totalPriceSet"]["shopMoney"]["amount"] == "23.00"
        assert after["originalTotalPriceSet"]["shopMoney"]["amount"] == "33.00"

    def test_a_deletion_leaves_an_event_and_who_ordered_cannot_be_deleted(self, shop, ask):
        put(shop, "orders", 6, ORDER | {"customer_id": 5})
        assert shop.http.delete("/_shopify/customers/5").status_code == 409
        shop.http.delete("/_shopify/orders/6").raise_for_status()
        shop.http.delete("/_shopify/customers/5").raise_for_status()
        query = """
        { events(first: 5, query: "action:destroy AND subject_type:ORDER") {
            nodes { ... on BasicEvent { action subjectId createdAt } }
        } }
        """
        [event] = ask(query)["data"]["events"]["nodes"]
        assert event == {
            "action": "destroy",
            "subjectId": "gid://shopify/Order/6",
            "createdAt": DAY.format(9),
        }

    def test_customers_are_found_by_whole_days(self, sandbox, ask):
        put(sandbox, "customers", 1, {"created_at": DAY.format(1)}, "2026-03-03T01:00:00Z")
        query = """
        { customers(first: 5, query: "updated_at:>='2026-03-03T23:00:00Z'") { nodes { id } } }
        """
        assert len(ask(query)["data"]["customers"]["nodes"]) == 1

    def test_a_missing_scope_denies_access(self, shop, ask):
        shop.post("/_shopify", {"scopes": ["read_orders"]})
        answer = ask("{ customers(first: 1) { nodes { id } } }")
        [error] = answer["errors"]
        assert error["extensions"]["code"] == "ACCESS_DENIED"
        assert error["extensions"]["requiredAccess"] == "`read_customers` access scope."
        assert error["path"] == ["customers"]

    def test_without_the_scope_for_all_orders_old_ones_do_not_exist(self, shop, ask):
        query = """
        { orders(first: 9) { nodes { id } } ordersCount { count }
          node(id: "gid://shopify/Order/1") { id } }
        """
        assert ask(query)["data"]["ordersCount"]["count"] == 5
        shop.post("/_shopify", {"now": "2026-06-01T00:00:00Z", "scopes": ["read_orders"]})
        found = ask(query)["data"]
        assert found == {"orders": {"nodes": []}, "ordersCount": {"count": 0}, "node": None}


class TestCost:
    def test_is_told_with_every_answer_and_is_a_point_for_each_record(self, shop, ask):
        query = "{ orders(first: 3) { nodes { id lineItems(first: 10) { nodes { id } } } } }"
        cost = ask(query)["extensions"]["cost"]
        assert cost["requestedQueryCost"] == 2 + 3 * (1 + 2 + 10)
        assert cost["actualQueryCost"] == 2 + 3 * (1 + 2 + 3)
        assert cost["throttleStatus"]["maximumAvailable"] == 2000
        assert cost["throttleStatus"]["restoreRate"] == 100

    def test_who_spends_more_than_there_is_is_throttled_until_it_is_there(self, shop, ask):
        shop.post("/_shopify", {"bucket": 50, "restore_rate": 0.1})
        query = "{ orders(first: 40) { nodes { id } } }"
        assert "errors" not in ask(query)
        answer = {}
        for _ in range(20):
            answer = ask(query)
            if "errors" in answer:
                break
        [error] = answer["errors"]
        assert (error["message"], error["extensions"]["code"]) == ("Throttled", "THROTTLED")
        assert "data" not in answer
        shop.post("/_shopify", {"bucket": 50, "restore_rate": 100})
        until(lambda: "errors" not in ask(query))

    def test_no_query_may_cost_more_than_a_thousand(self, ask):
        query = "{ orders(first: 250) { nodes { id lineItems(first: 9) { nodes { id } } } } }"
        [error] = ask(query)["errors"]
        assert error["extensions"]["code"] == "MAX_COST_EXCEEDED"
        assert error["extensions"]["cost"] == 2 + 250 * 12


class TestBulk:
    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("{ shop { name } }", "at least one connection"),
            ("{ orders { nodes { id } } }", "Selecting via 'nodes' is not supported"),
            ('{ node(id: "gid://shopify/Order/1") { id } }', "top level `node`"),
            (
                "{ orders { edges { node { id refunds { transactions { edges { node { id } } } } }"
                " } } }",
                "a connection field within a list field",
            ),
            (
                "{ orders { edges { node { email lineItems { edges { node { id } } } } } } }",
                "must select the 'id' field",
            ),
        ],
    )
    def test_refuses_what_shopify_refuses(self, ask, query, message):
        started = ask(BULK, query=query)["data"]["bulkOperationRunQuery"]
        assert started["bulkOperation"] is None
        assert message in started["userErrors"][0]["message"]
        assert started["userErrors"][0]["code"] == "INVALID"

    def test_gives_every_object_on_a_line_children_after_their_parent(self, shop, ask):
        query = "{ orders { edges { node { id lineItems { edges { node { sku } } } } } } }"
        started = ask(BULK, query=query)["data"]["bulkOperationRunQuery"]["bulkOperation"]
        assert ask(POLL, id=started["id"])["data"]["node"]["status"] == "RUNNING"
        done = ask(POLL, id=started["id"])["data"]["node"]
        assert (done["status"], done["objectCount"]) == ("COMPLETED", "20")
        assert done["rootObjectCount"] == "5"
        lines = [json.loads(line) for line in httpx.get(done["url"]).text.splitlines()]
        assert lines[:2] == [
            {"id": "gid://shopify/Order/1"},
            {"sku": "mug", "__parentId": "gid://shopify/Order/1"},
        ]
        shop.post("/_shopify", {"now": "2026-03-20T00:00:00Z"})
        expired = ask(POLL, id=started["id"])["data"]["node"]
        assert (expired["status"], expired["url"]) == ("EXPIRED", None)

    def test_a_failure_has_a_code_and_part_of_the_data(self, shop, ask):
        shop.post("/_shopify", {"bulk_error": "TIMEOUT", "bulk_polls": 0})
        started = ask(BULK, query="{ orders { edges { node { id } } } }")
        identity = started["data"]["bulkOperationRunQuery"]["bulkOperation"]["id"]
        failed = ask(POLL, id=identity)["data"]["node"]
        assert (failed["status"], failed["errorCode"]) == ("FAILED", "TIMEOUT")
        assert failed["url"] is None
        assert len(httpx.get(failed["partialDataUrl"]).text.splitlines()) == 2

    def test_five_may_run_at_once(self, shop, ask):
        query = "{ orders { edges { node { id } } } }"
        codes = [
            ask(BULK, query=query)["data"]["bulkOperationRunQuery"]["userErrors"] for _ in range(6)
        ]
        assert codes[:5] == [[]] * 5
        assert codes[5][0]["code"] == "LIMIT_REACHED"


def test_the_page_shows_the_shop(shop):
    page = shop.http.get("/").text
    assert "Shopify: Regulars Test Shop" in page
    assert "#5" in page
    told = shop.truth(summary=True)["shopify"]
    assert told == {"orders": 5, "customers": 1, "products": 1, "deletions": 0}
    assert set(shop.truth()["shopify"]["orders"]) == {"1", "2", "3", "4", "5"}


def test_the_shop_is_still_there_after_a_restart(tmp_path):
    with start_sandbox(tmp_path) as first:
        put(first, "orders", 1, ORDER)
    with start_sandbox(tmp_path) as second:
        assert second.truth(summary=True)["shopify"]["orders"] == 1


def test_an_unknown_key_in_the_shops_world_is_refused(sandbox):
    for path in ("/_shopify", "/_shopify/orders/1/refund"):
        assert sandbox.http.post(path, json={"colour": "red"}).status_code == 422
    answer = sandbox.http.put("/_shopify/orders/1", json=ORDER | {"colour": "red"})
    assert answer.status_code == 422
