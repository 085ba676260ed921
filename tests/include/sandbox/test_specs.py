"""The sandbox's answers, held against the vendors' own descriptions of their APIs.

The descriptions are not ours to ship: they are looked for in `specs` beside the test data, and
without them these tests are skipped.
"""

from __future__ import annotations

import gzip
import json
import os
from datetime import datetime
from pathlib import Path

import pytest
import requests
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse

SPECS = Path(os.environ.get("REGULARS_TEST_DATA", "../shared/data")).parent / "specs"
MAILCHIMP = SPECS / "mailchimp.openapi.json.gz"
META_AUDIENCE = SPECS / "meta_CustomAudience.json"
META_ACCOUNT = SPECS / "meta_AdAccount.json"

ANN = {
    "email_address": "ann@shop.test",
    "status": "subscribed",
    "merge_fields": {"FNAME": "Ann"},
    "language": "en",
}
BEN = {"email_address": "ben@example.com", "status": "subscribed"}
LIST = "/lists/regulars"

needs_mailchimp = pytest.mark.skipif(
    not MAILCHIMP.exists(), reason=f"Mailchimp's OpenAPI description is not in {SPECS}"
)
needs_meta = pytest.mark.skipif(
    not (META_AUDIENCE.exists() and META_ACCOUNT.exists()),
    reason=f"Meta's API descriptions are not in {SPECS}",
)


def parse_problem(value, **_):
    return json.loads(value)


def is_instant_or_empty(value):
    """Mailchimp gives "" for an instant that has not been, whatever its description says."""
    return not value or bool(datetime.fromisoformat(value))


@pytest.fixture(scope="module")
def spec():
    """The OpenAPI description; its server is put in by the test that uses it."""
    return json.loads(gzip.decompress(MAILCHIMP.read_bytes()))


@pytest.fixture
def call(sandbox, spec):
    """Send a request that is valid by the spec, and check the answer by the spec."""
    spec["servers"] = [{"url": sandbox.mailchimp_url}]
    config = Config(
        spec_validator_cls=None,
        extra_media_type_deserializers={"application/problem+json": parse_problem},
        extra_format_validators={"date-time": is_instant_or_empty},
    )
    openapi = OpenAPI.from_dict(spec, config=config)
    session = requests.Session()
    session.auth = ("any", "key-us1")

    def send(method, path, body=None, **query):
        url = sandbox.mailchimp_url + path
        request = session.prepare_request(requests.Request(method, url, json=body, params=query))
        response = session.send(request, timeout=60)
        described = RequestsOpenAPIRequest(request)
        openapi.validate_request(described)
        openapi.validate_response(described, RequestsOpenAPIResponse(response))
        return response

    return send


@needs_mailchimp
def test_mailchimps_answers_are_as_its_description_says(call):
    member = f"{LIST}/members/ann@shop.test"
    assert call("GET", "/ping").json()["health_status"]
    assert call("GET", "/lists").json()["total_items"] == 1
    assert call("GET", LIST).json()["id"] == "regulars"

    field = {"name": "Spend", "type": "number", "tag": "LTV"}
    merge_id = call("POST", f"{LIST}/merge-fields", field).json()["merge_id"]
    assert call("GET", f"{LIST}/merge-fields", count=100).json()["total_items"] == 6
    call("GET", f"{LIST}/merge-fields/{merge_id}")
    call("PATCH", f"{LIST}/merge-fields/{merge_id}", field | {"required": False})

    batch = call("POST", LIST, {"members": [ANN, BEN], "update_existing": True}).json()
    assert (batch["total_created"], batch["error_count"]) == (1, 1)
    call("PUT", member, {"email_address": "ann@shop.test", "status_if_new": "pending"})
    call("PATCH", member, {"merge_fields": {"LTV": 12.5}})
    assert call("GET", member).json()["merge_fields"]["LTV"] == 12.5
    assert call("GET", f"{LIST}/members", count=5).json()["total_items"] == 1
    tags = {"tags": [{"name": "vip", "status": "active"}]}
    assert call("POST", f"{member}/tags", tags).status_code == 204
    assert call("GET", f"{member}/tags").json()["total_items"] == 1

    segment = call("POST", f"{LIST}/segments", {"name": "lapsed", "static_segment": []}).json()
    path = f"{LIST}/segments/{segment['id']}"
    moved = {"members_to_add": ["ann@shop.test", "x@shop.test"], "members_to_remove": []}
    assert call("POST", path, moved).json()["total_added"] == 1
    assert call("GET", path).json()["member_count"] == 1
    assert call("GET", f"{path}/members").json()["total_items"] == 1
    assert call("GET", f"{LIST}/segments").json()["total_items"] == 2
    assert call("DELETE", path).status_code == 204

    assert call("DELETE", member).status_code == 204
    assert call("GET", member).json()["status"] == "archived"
    assert call("POST", f"{member}/actions/delete-permanent").status_code == 204


@needs_mailchimp
def test_mailchimps_store_and_batches_are_as_its_description_says(call):
    told = {"id": "s1", "list_id": "regulars", "name": "Mugs", "currency_code": "EUR"}
    store = "/ecommerce/stores/s1"
    assert call("POST", "/ecommerce/stores", told | {"is_syncing": True}).json()["id"] == "s1"
    assert call("PATCH", store, {"is_syncing": False}).json()["is_syncing"] is False
    assert call("GET", store).json()["list_id"] == "regulars"

    variant = {"id": "mug", "title": "Mug", "price": 10}
    mug = {"id": "mug", "title": "Mug", "variants": [variant]}
    assert call("POST", f"{store}/products", mug).json()["id"] == "mug"
    buyer = {"id": "c1", "email_address": "ann@shop.test", "opt_in_status": False}
    assert call("PUT", f"{store}/customers/c1", buyer).json()["id"] == "c1"
    line = {"id": "1", "product_id": "mug", "product_variant_id": "mug", "quantity": 2, "price": 10}
    order = {"id": "o1", "customer": buyer, "currency_code": "EUR", "order_total": 20}
    assert call("POST", f"{store}/orders", order | {"lines": [line]}).json()["id"] == "o1"
    assert call("PATCH", f"{store}/orders/o1", {"order_total": 18}).json()["order_total"] == 18
    assert call("GET", f"{store}/orders", customer_id="c1").json()["orders"][0]["id"] == "o1"
    assert call("GET", f"{store}/orders", customer_id="c2").json()["total_items"] == 0
    rule = {"id": "r1", "description": "15 off", "amount": 0.15, "type": "percentage"}
    assert call("POST", f"{store}/promo-rules", rule | {"target": "total"}).json()["id"] == "r1"
    code = {"id": "p1", "code": "C0DE", "redemption_url": "https://shop.test"}
    assert call("POST", f"{store}/promo-rules/r1/promo-codes", code).json()["id"] == "p1"
    assert call("DELETE", f"{store}/orders/o1").status_code == 204
    assert call("DELETE", f"{store}/promo-rules/r1/promo-codes/p1").status_code == 204

    operation = {"method": "GET", "path": "/ping", "operation_id": "0"}
    batch = call("POST", "/batches", {"operations": [operation]}).json()
    states = [call("GET", f"/batches/{batch['id']}").json()["status"] for _ in range(4)]
    assert states == ["preprocessing", "started", "finalizing", "finished"]
    assert call("GET", "/batches").json()["batches"][0]["id"] == batch["id"]

    assert call("POST", LIST, {"members": [ANN]}).status_code == 200
    trigger = "/customer-journeys/journeys/1/steps/2/actions/trigger"
    # A buyer is a transactional contact, whom a journey does not write to.
    assert call("POST", trigger, {"email_address": "ann@shop.test"}).status_code == 400


@needs_mailchimp
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/lists/nosuch", None, 404),
        ("GET", f"{LIST}/members/nobody", None, 404),
        ("POST", f"{LIST}/members", BEN, 400),
        ("POST", LIST, {"members": [ANN] * 501}, 400),
        ("POST", f"{LIST}/segments", {"name": "neither static nor saved"}, 400),
    ],
)
def test_mailchimps_errors_are_as_its_description_says(call, method, path, body, status):
    answer = call(method, path, body)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")


@needs_meta
def test_meta_knows_every_field_and_parameter_the_sandbox_has(sandbox):
    audience = json.loads(META_AUDIENCE.read_text())
    account = json.loads(META_ACCOUNT.read_text())
    url = f"{sandbox.meta_url}/v26.0"
    token = {"access_token": "a-token"}
    given = {"name": "regulars", "customer_file_source": "USER_PROVIDED_ONLY", "description": "d"}
    made = requests.post(f"{url}/act_1000/customaudiences", data=token | given, timeout=60).json()

    described = {field["name"] for field in audience["fields"]}
    names = sorted(described - {"id"})
    known = []
    for name in names:
        query = token | {"fields": name}
        answer = requests.get(f"{url}/{made['id']}", params=query, timeout=60)
        known += [name] if answer.status_code == 200 else []
    assert {"name", "operation_status", "approximate_count_lower_bound"} <= set(known)
    assert len(known) >= 15

    create = next(
        api
        for api in account["apis"]
        if (api["method"], api.get("endpoint")) == ("POST", "customaudiences")
    )
    assert set(given) <= {parameter["name"] for parameter in create["params"]}
    edges = {(api["method"], api.get("endpoint")) for api in audience["apis"]}
    assert {("POST", "users"), ("DELETE", "users"), ("GET", "sessions")} <= edges
