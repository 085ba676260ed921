from __future__ import annotations

import json
from dataclasses import asdict

import duckdb
import pyarrow as pa
import pytest

from include.activation.audiences import Audience
from include.activation.preview import Change, Decision, Field, Overlap, Reason, overlaps, preview
from include.errors import Stop
from include.publishing import CURRENT, Published
from tests.include.activation.shop import Shop, audience, people

MEMBERS = pa.Table.from_pylist(
    [
        {
            "audience": name,
            "customer_id": f"shop:{number}",
            "reason": reason,
            "payload": json.dumps(payload),
        }
        for name, numbers, reason, payload in (
            ("lapsed_vips", (0, 1), "silent for 74 days", {"tier": "gold", "gift": None}),
            ("lapsed_vips", (2,), "silent for 9 days", {"tier": "", "gift": None}),
            ("lapsed_vips", (3,), "asked for it", {"tier": "gold", "gift": "tea"}),
            ("at_risk", (2, 3), None, {}),
            ("champions", (9,), None, {}),
        )
        for number in numbers
    ]
)
DECISIONS = pa.Table.from_pylist(
    [
        {"medium": medium, "audience": "lapsed_vips", "customer_id": "x", "decision": decision}
        for medium, decision in (
            ("ads", "no_consent"),
            ("email", "capped"),
            ("email", "included"),
            ("email", "included"),
        )
    ]
)
OFF = Audience(name="lapsed_vips", description="For tests.", owner="tests")


@pytest.fixture
def published(shop: Shop) -> Shop:
    """Persons 0 to 2 are wanted; the audience has four members."""
    snapshot = shop.publish(people(range(3)))
    tables = dict(snapshot.tables)
    for name, rows in (("audience_members", MEMBERS), ("membership_decisions", DECISIONS)):
        path = shop.store.locate(f"{snapshot.folder}/{name}.parquet")
        duckdb.from_arrow(rows).write_parquet(path)
        tables[name] = Published(rows=len(rows), sha256="")
    shop.store.write(
        CURRENT, snapshot.model_copy(update={"tables": tables}).model_dump_json().encode()
    )
    return shop


def test_a_preview_tells_in_counts_who_is_in_why_and_who_is_kept_out(published: Shop):
    shown = preview(published.settings, audience(fields=["tier"]))
    assert shown.members == 4
    assert shown.decisions == (
        Decision("email", "included", 2),
        Decision("email", "capped", 1),
        Decision("ads", "no_consent", 1),
    )
    assert shown.reasons == (Reason("silent for # days", 3), Reason("asked for it", 1))
    assert shown.fields == (Field("gift", 25.0, ()), Field("tier", 75.0, ("mailchimp",)))
    assert shown.overlaps == (Overlap("lapsed_vips", "at_risk", 2, 50.0, 100.0),)
    assert overlaps(published.settings) == [Overlap("at_risk", "lapsed_vips", 2, 100.0, 50.0)]


def test_a_preview_shows_nobody(published: Shop):
    text = str(asdict(preview(published.settings, audience(fields=["tier"]))))
    for known in ("shop:", "@", "gold", "74 days"):
        assert known not in text


def test_a_preview_tells_what_the_next_sync_does(published: Shop):
    def changes() -> tuple[Change, ...]:
        return preview(published.settings, audience()).destinations

    assert changes() == (Change("mailchimp", 3, 0, 3, 0, 0), Change("meta", 3, 0, 3, 0, 0))
    done = published.sync("meta")
    assert done.adds == 3
    assert changes() == (Change("mailchimp", 3, 0, 3, 0, 0), Change("meta", 3, 3, 0, 0, 0))


def test_an_audience_switched_off_changes_nothing_and_shows_who_it_left_behind(published: Shop):
    assert preview(published.settings, OFF).destinations == ()
    published.sync("meta")
    shown = preview(published.settings, OFF)
    assert not shown.is_switched_on
    assert shown.destinations == (Change("meta", 3, 3, 0, 0, 0),)


def test_without_a_snapshot_the_way_to_one_is_told(shop: Shop):
    with pytest.raises(Stop, match="regulars publish"):
        preview(shop.settings, OFF)
