"""The double of WooCommerce, spoken to as its own clients do."""

from __future__ import annotations

import httpx
import pytest

MUG = {"sku": "mug", "name": "Mug", "product_id": 93, "quantity": 2, "price": "5.00"}


def order(**more):
    return {"line_items": [MUG], "billing": {"email": "ann@shop.test"}} | more


@pytest.fixture
def api(sandbox):
    with httpx.Client(base_url=sandbox.woocommerce_url, auth=("ck_key", "cs_secret")) as client:
        yield client


def ids(answer):
    return [record["id"] for record in answer.raise_for_status().json()]


class TestLists:
    def test_pages_are_ten_long_unless_told_and_say_how_many_there_are(self, sandbox, api):
        sandbox.post("/_woocommerce/orders", [order() for _ in range(25)])
        first = api.get("/orders")
        assert len(first.json()) == 10
        assert (first.headers["X-WP-Total"], first.headers["X-WP-TotalPages"]) == ("25", "3")
        assert first.links["next"]["url"].endswith("?page=2")
        second = httpx.get(first.links["next"]["url"], auth=("ck_key", "cs_secret"))
        assert set(ids(first)).isdisjoint(ids(second))
        assert second.links["prev"]["url"].endswith("?page=1")

    def test_a_page_beyond_the_last_is_empty_and_still_counts(self, sandbox, api):
        sandbox.post("/_woocommerce/orders", order())
        answer = api.get("/orders", params={"page": 7})
        assert (answer.json(), answer.headers["X-WP-Total"]) == ([], "1")

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [("per_page", 101), ("per_page", 0), ("orderby", "price"), ("status", "sold")],
    )
    def test_a_parameter_out_of_range_is_refused_by_name(self, api, parameter, value):
        refusal = api.get("/orders", params={parameter: value})
        assert refusal.status_code == 400
        assert refusal.json()["code"] == "rest_invalid_param"
        assert [*refusal.json()["data"]["params"]] == [parameter]

    def test_changes_sort_by_time_then_by_id_and_after_excludes_its_own_second(self, sandbox, api):
        at = [f"2026-03-01T10:00:0{second}" for second in (2, 0, 1, 1)]
        put = sandbox.post("/_woocommerce/orders", [order(date_modified_gmt=t) for t in at])
        query = {"orderby": "modified", "order": "asc", "dates_are_gmt": "true"}
        late, _, one, two = (record["id"] for record in put)
        found = api.get("/orders", params=query | {"modified_after": at[1]})
        assert ids(found) == [one, two, late]

    def test_dates_are_the_sites_own_unless_they_are_said_to_be_gmt(self, sandbox, api):
        sandbox.post("/_woocommerce/site", {"gmt_offset": 2})
        sandbox.post("/_woocommerce/orders", order(date_modified_gmt="2026-03-01T10:00:00"))
        [record] = api.get("/orders").json()
        assert record["date_modified"] == "2026-03-01T12:00:00"
        query = {"modified_after": "2026-03-01T11:00:00"}
        assert len(ids(api.get("/orders", params=query))) == 1
        assert not ids(api.get("/orders", params=query | {"dates_are_gmt": "true"}))
        # WordPress moves a date with a zone to the site's clock, whatever it is compared with.
        zoned = {"modified_after": "2026-03-01T09:00:00Z", "dates_are_gmt": "true"}
        assert not ids(api.get("/orders", params=zoned))

    def test_fields_are_limited_to_those_asked_for(self, sandbox, api):
        sandbox.post("/_woocommerce/orders", order())
        [record] = api.get("/orders", params={"_fields": "id,status"}).json()
        assert [*record] == ["id", "status"]

    def test_refunds_of_all_orders_say_whose_they_are_and_old_versions_have_no_such_list(
        self, sandbox, api
    ):
        placed = sandbox.post("/_woocommerce/orders", [order(), order()])
        owners = [one["id"] for one in placed]
        for second, owner in enumerate(owners):
            told = {"amount": "1.00", "date_created_gmt": f"2026-03-01T10:00:0{second}"}
            sandbox.post(f"/_woocommerce/orders/{owner}/refunds", told)
        found = api.get("/refunds", params={"orderby": "id", "order": "asc"}).json()
        assert [refund["parent_id"] for refund in found] == owners
        late = {"after": "2026-03-01T10:00:00", "dates_are_gmt": "true"}
        assert len(ids(api.get("/refunds", params=late))) == 1
        [own] = api.get(f"/orders/{owners[0]}/refunds").json()
        assert "parent_id" not in own
        sandbox.post("/_woocommerce/site", {"lists_refunds": False})
        refusal = api.get("/refunds")
        assert (refusal.status_code, refusal.json()["code"]) == (404, "rest_no_route")


class TestChanges:
    def test_an_order_adds_up_and_an_edit_works_its_totals_out_anew(self, sandbox, api):
        [put] = sandbox.post(
            "/_woocommerce/orders",
            order(shipping_total="4.90", line_items=[MUG | {"total": "9.00", "total_tax": "1.71"}]),
        )
        assert (put["total"], put["discount_total"], put["total_tax"]) == ("15.61", "1.00", "1.71")
        sandbox.post("/_woocommerce/orders", {"id": put["id"], "line_items": []})
        assert api.get(f"/orders/{put['id']}").json()["total"] == "4.90"

    def test_a_refund_is_negative_names_its_line_and_counts_as_a_change(self, sandbox, api):
        [put] = sandbox.post("/_woocommerce/orders", order(date_modified_gmt="2026-03-01T10:00:00"))
        line = put["line_items"][0]
        path = f"/orders/{put['id']}"
        back = {"line_items": [{"id": line["id"], "quantity": 1, "total": "5.00"}]}
        sandbox.post(f"/_woocommerce{path}/refunds", back)
        [refund] = api.get(f"{path}/refunds").json()
        [given_back] = refund["line_items"]
        assert (refund["amount"], given_back["total"], given_back["quantity"]) == (
            "5.00",
            "-5.00",
            -1,
        )
        assert given_back["meta_data"][0]["value"] == str(line["id"])
        changed = api.get(path).json()
        assert changed["refunds"] == [{"id": refund["id"], "reason": "", "total": "-5.00"}]
        assert changed["date_modified_gmt"] > put["date_modified_gmt"]
        assert (changed["status"], changed["total"]) == ("processing", "10.00")
        sandbox.post(f"/_woocommerce{path}/refunds", {"amount": "5.00"})
        assert api.get(path).json()["status"] == "refunded"

    def test_the_trash_is_a_status_that_any_leaves_out_and_deleting_leaves_nothing(
        self, sandbox, api
    ):
        kept, trashed = (r["id"] for r in sandbox.post("/_woocommerce/orders", [order(), order()]))
        sandbox.http.request("DELETE", f"/_woocommerce/orders/{trashed}", json={})
        assert ids(api.get("/orders")) == [kept]
        assert ids(api.get("/orders", params={"status": "trash"})) == [trashed]
        sandbox.http.request("DELETE", f"/_woocommerce/orders/{trashed}?force=true", json={})
        refusal = api.get(f"/orders/{trashed}")
        assert refusal.status_code == 404
        assert refusal.json()["code"] == "woocommerce_rest_shop_order_invalid_id"

    def test_variations_belong_to_their_product(self, sandbox, api):
        [shirt] = sandbox.post("/_woocommerce/products", {"name": "Shirt", "sku": "shirt"})
        sandbox.post("/_woocommerce/products", {"parent_id": shirt["id"], "sku": "shirt-m"})
        [product] = api.get("/products").json()
        [variation] = api.get(f"/products/{shirt['id']}/variations").json()
        assert product["type"] == "variable"
        assert product["variations"] == [variation["id"]]
        assert variation["sku"] == "shirt-m"

    def test_customers_are_listed_by_role(self, sandbox, api):
        people = [{"email": "ann@shop.test"}, {"email": "boss@shop.test", "role": "shop_manager"}]
        sandbox.post("/_woocommerce/customers", people)
        assert len(ids(api.get("/customers"))) == 1
        assert len(ids(api.get("/customers", params={"role": "all"}))) == 2


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (None, "woocommerce_rest_cannot_view"),
        (("ck_revoked", "cs_secret"), "woocommerce_rest_cannot_view"),
        (("ck_key", "cs_wrong"), "woocommerce_rest_authentication_error"),
    ],
)
def test_lets_nobody_in_without_a_key_and_its_secret(sandbox, auth, code):
    refusal = httpx.get(f"{sandbox.woocommerce_url}/orders", auth=auth)
    assert (refusal.status_code, refusal.json()["code"]) == (401, code)


def test_a_failure_on_demand_looks_like_wordpress(sandbox, api):
    sandbox.fault(action="status", status=503, headers={"Retry-After": "7"}, path="orders")
    failure = api.get("/orders")
    assert (failure.status_code, failure.headers["Retry-After"]) == (503, "7")
    assert failure.json()["data"] == {"status": 503}
    assert [call["status"] for call in sandbox.calls()] == [503]
    assert api.get("/nowhere").json()["code"] == "rest_no_route"
