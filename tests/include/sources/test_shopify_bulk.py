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
    parts = BulkParts()
    for line in lines:
        parts.add([line])
    found = []
    for part in parts.finish():
        with part:
            found.append(gzip.decompress(part.read()).splitlines())
    return found


def test_a_result_is_cut_between_two_orders():
    lines = [line for pair in zip(ORDERS, LINES, strict=True) for line in pair]
    parts = kept(lines)
    assert len(parts) > 1
    assert [line for part in parts for line in part] == lines
    assert all(part[0] in ORDERS for part in parts)


def test_lines_that_stand_elsewhere_than_behind_their_order_stay_with_it_in_one_part():
    lines = ORDERS + LINES
    assert kept(lines) == [lines]


def test_an_empty_result_has_no_part():
    assert kept([]) == []
