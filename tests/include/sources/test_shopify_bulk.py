"""The result of a bulk operation, in parts."""

from __future__ import annotations

import gzip
import json

import pytest

from include.sources import shopify_bulk
from include.sources.shopify_bulk import BulkParts

ORDERS = [json.dumps({"id": f"gid://shopify/Order/{n}"}).encode() for n in range(5)]
LINES = [
    json.dumps({"title": '"__parentId":"x"', "__parentId": f"gid://shopify/Order/{n}"}).encode()
    for n in range(5)
]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(shopify_bulk, "PART_BYTES", 150)


def kept(lines):
    """The suffix, and the objects of each part."""
    parts = BulkParts("lineItems")
    for line in lines:
        parts.add([line])
    found = []
    for part in parts.finish():
        with part:
            found.append([json.loads(line) for line in gzip.decompress(part.read()).splitlines()])
    return parts.suffix, found


def test_a_result_is_cut_between_two_orders_each_with_its_lines_inside():
    lines = [line for pair in zip(ORDERS, LINES, strict=True) for line in pair]
    suffix, parts = kept([*lines, LINES[4]])
    whole = [
        json.loads(order) | {"lineItems": {"nodes": [json.loads(line)]}}
        for order, line in zip(ORDERS, LINES, strict=True)
    ]
    whole[4]["lineItems"]["nodes"] *= 2
    assert suffix == ".records.jsonl.gz"
    assert len(parts) > 1
    assert [order for part in parts for order in part] == whole


def test_lines_that_stand_elsewhere_than_behind_their_order_stay_with_it_in_one_part():
    suffix, [part] = kept([ORDERS[0], LINES[0], *ORDERS[1:], *LINES[1:]])
    assert suffix == ".jsonl.gz"
    assert part[0]["lineItems"]["nodes"] == [json.loads(LINES[0])]
    assert part[-4:] == [json.loads(line) for line in LINES[1:]]
    assert [order["id"] for order in part if "id" in order] == [
        json.loads(order)["id"] for order in ORDERS
    ]


def test_what_is_no_record_is_kept_for_the_report_on_the_page():
    suffix, [part] = kept([b"[1, 2]", *LINES[:1]])
    assert (suffix, part) == (".jsonl.gz", [[1, 2], json.loads(LINES[0])])


def test_an_empty_result_has_no_part():
    assert kept([]) == (".records.jsonl.gz", [])
