from __future__ import annotations

from pathlib import Path

import pytest

from include.errors import BadInput
from include.lookalikes import make_lookalike
from tests.include.activation.shop import Shop, audience, people
from tests.sandbox_server import start_sandbox


def test_a_lookalike_is_made_of_an_audience_that_was_synced(tmp_path: Path):
    with start_sandbox(tmp_path) as sandbox:
        shop = Shop(tmp_path, sandbox)
        with pytest.raises(BadInput, match="never synced"):
            make_lookalike(shop.settings, "lapsed_vips", "DE", 1)
        shop.publish(people(range(120)))
        shop.sync("meta", audience())

        found = make_lookalike(
            shop.settings, "lapsed_vips", "DE", 1, lambda _: shop.credentials["meta"]
        )

        assert found.name == "lapsed_vips lookalike DE 1%"
        assert sandbox.audience(found.name)["subtype"] == "LOOKALIKE"
