from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from include.activation.audiences import DECLARATIONS, load_audiences, switched_on
from include.errors import BadInput

ENTRY = {
    "name": "lapsed_vips",
    "description": "Best customers who have been quiet.",
    "config": {
        "meta": {
            "audience": {
                "owner": "retention",
                "priority": 20,
                "holdout_percent": 10,
                "destinations": [{"to": "mailchimp", "fields": ["vip_tier"]}, {"to": "meta"}],
                "guard": {"max_removed_percent": 30, "on_breach": "block"},
            }
        }
    },
}


def declare(tmp_path: Path, *entries: dict) -> Path:
    path = tmp_path / "_audiences.yml"
    path.write_text(yaml.safe_dump({"models": list(entries)}))
    return path


def changed(**audience: object) -> dict:
    declared = ENTRY["config"]["meta"]["audience"] | audience
    return ENTRY | {"config": {"meta": {"audience": declared}}}


def test_a_declaration_says_where_an_audience_goes_and_how_far_it_may_move(tmp_path):
    audience = load_audiences(declare(tmp_path, ENTRY))["lapsed_vips"]
    assert audience.target("mailchimp").fields == ("vip_tier",)
    assert audience.guard.max_removed_percent == 30
    assert audience.guard.min_members == 1


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (changed(prioritty=1), "prioritty"),
        (changed(destinations=[{"to": "meta", "feilds": []}]), "destinations.0.feilds: unknown"),
        (changed(destinations=[{"to": "mailchip"}]), "unknown destination mailchip; known are:"),
        (changed(destinations=None), "destinations: expected a list"),
        (changed(name="vips"), "key name"),
        (changed(guard={"max_removed_members": 3}), "guard.max_removed_members"),
        (changed(guard={"max_removed": -1}), "guard.max_removed"),
        (changed(guard={"approval_hours": 0}), "guard.approval_hours"),
        (changed(guard={"on_breach": "ask"}), "guard.on_breach"),
        (changed(holdout_percent=80), "holdout_percent"),
        (changed(kind="newsletter"), "kind"),
        (changed(offer={"name": "thanks", "valid_days": 14}), "offer"),
        (changed(offer={"name": "thanks", "percent": 120, "valid_days": 14}), "offer.percent"),
        (changed(offer={"name": "thanks", "amount": 5, "valid_days": 14}), "offer"),
        (ENTRY | {"config": {}}, "config.meta.audience"),
        (ENTRY | {"config": None}, "config.meta.audience"),
        (ENTRY | {"config": {"meta": {"audience": "on"}}}, "config.meta.audience"),
        (ENTRY | {"name": "Lapsed VIPs"}, "key name"),
    ],
)
def test_what_does_not_fit_is_named_with_its_file_audience_and_key(tmp_path, entry, key):
    with pytest.raises(BadInput) as error:
        load_audiences(declare(tmp_path, entry))
    assert "_audiences.yml" in str(error.value)
    assert entry["name"] in str(error.value)
    assert key in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("models:\n\t- name: vips", "not YAML.*line 2"),
        ("models:\n- name: vips\n  description: Best: by spend", "not YAML.*line 3"),
        ("models:\n- name: vips\n  description: K\xe4ufer", "not YAML.*0xe4"),
        ("- name: vips", "expected a list under the key 'models'"),
        ("models: {name: vips}", "expected a list under the key 'models'"),
        ("models: [vips]", "audience vips has no keys below config.meta.audience"),
    ],
)
def test_a_file_that_is_no_list_of_declarations_is_named_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "_audiences.yml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadInput, match=f"(?s)^_audiences.yml: {reason}"):
        load_audiences(path)


def test_an_audience_without_destinations_is_switched_off(tmp_path):
    on, off = ENTRY, changed(destinations=[]) | {"name": "ready"}
    path = declare(tmp_path, on, off)
    assert [*load_audiences(path)] == ["lapsed_vips", "ready"]
    assert switched_on(path) == ["lapsed_vips"]
    with pytest.raises(BadInput, match="ready is switched off"):
        load_audiences(path)["ready"].target("meta")


def test_an_audience_or_a_destination_named_twice_is_refused(tmp_path):
    with pytest.raises(BadInput, match="declared 2 times"):
        load_audiences(declare(tmp_path, ENTRY, ENTRY))
    with pytest.raises(BadInput, match="meta twice"):
        load_audiences(declare(tmp_path, changed(destinations=[{"to": "meta"}, {"to": "meta"}])))


def test_every_audience_has_one_select_and_one_entry():
    selects = {path.stem for path in DECLARATIONS.parent.glob("*.sql")}
    assert selects
    assert set(load_audiences()) == selects
