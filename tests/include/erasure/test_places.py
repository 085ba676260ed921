from __future__ import annotations

import gzip
import json
from urllib.parse import quote

import pytest
import zstandard

from include.erasure.person import People
from include.erasure.places import CHUNK, Places
from include.settings import Settings
from include.store import Store

ANN = "ann.m\u00fcller@shop.example"
OTHERS = b"id,address\n" + b"7,ben@shop.example\n" * (CHUNK // 10)
ABOUT_ANN = f"8,{ANN.upper()}\n".encode()
PAGES = {
    "plain": (OTHERS + ABOUT_ANN, False),
    "of others": (OTHERS, True),
    "across two chunks": (OTHERS[: CHUNK - 12] + ABOUT_ANN + OTHERS, False),
    "encoded across two chunks": (OTHERS[: CHUNK - 30] + quote(ANN, safe="").encode(), False),
    "JSON across two chunks": (OTHERS[: CHUNK - 20] + json.dumps(ANN.upper()).encode(), False),
    "gzip": (gzip.compress(OTHERS + ABOUT_ANN), False),
    "gzip of others": (gzip.compress(OTHERS), True),
    "gzip of others, cut off": (gzip.compress(OTHERS)[:-9], False),
    "gzip of others, broken": (gzip.compress(OTHERS)[:40] + b"?" * 40, False),
    "zstd in two frames": (zstandard.compress(OTHERS) + zstandard.compress(ABOUT_ANN), False),
    "zstd of others": (zstandard.compress(OTHERS), True),
    "zstd, broken": (zstandard.compress(OTHERS)[:9] + b"?" * 40, False),
    "no text": (b"\0" * 10, False),
    "empty": (b"", True),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_quarantine_stays_only_if_it_can_be_searched_and_is_about_others(name, tmp_path):
    settings = Settings(home=tmp_path / "home")
    store = Store(settings.store)
    content, stays = PAGES[name]
    store.write("quarantine/shop/page", content)

    count = Places(settings, People(frozenset({("email", ANN)})), print).quarantine()

    assert store.list("quarantine/shop") == ["page"] * stays
    assert count == (not stays)
