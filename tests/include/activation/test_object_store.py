from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.include.activation.shop import Shop, people
from tests.sandbox_server import Sandbox


@pytest.mark.parametrize("destination", ["mailchimp", "meta"])
def test_plans_receipts_and_state_may_lie_in_an_object_store(
    tmp_path: Path, sandbox: Sandbox, destination: str
) -> None:
    shop = Shop(tmp_path, sandbox, store_url=f"memory://{uuid.uuid4()}")
    shop.publish(people(range(5)))
    assert shop.sync(destination).adds == 5

    shop.publish(people(range(3, 8)), others=people(range(3)))
    changed = shop.sync(destination)
    assert (changed.adds, changed.removes) == (3, 3)
    assert len(shop.there(destination)) == 5
    assert shop.sync(destination).plan_id is None
    assert [receipt["accepted"] for receipt in shop.receipts(destination)] == [5, 3, 3]
