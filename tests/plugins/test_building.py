from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from include import publishing
from include.activation.audiences import DECLARATIONS, Audience, load_audiences, switched_on
from regulars_airflow import building
from regulars_airflow.assets import AUDIENCES
from tests.include.activation.shop import people
from tests.include.built_shop import AS_OF, SHOP, change, settings_for
from tests.include.test_publishing import judged

NO_OFFERS_YET = """
create table marts.offers (offer_id varchar, offer_state varchar);
create table marts_private.offer_codes (
    offer_id varchar, code varchar, offer_name varchar, issued_date date, ends_on date,
    percent decimal(18, 4), amount decimal(18, 4), currency varchar, minimum_spend decimal(18, 4)
);
create table marts_private.advocate_codes (
    offer_id varchar, code varchar, percent decimal(18, 4), amount decimal(18, 4),
    currency varchar, minimum_spend decimal(18, 4)
);
"""
ONE_THAT_NOBODY_IS_SENT = """
insert into marts.offers values ('offer:1', 'open');
insert into marts_private.offer_codes (offer_id, code, ends_on)
values ('offer:1', 'C0DE', '2026-02-14');
"""


@pytest.mark.parametrize(
    ("run_type", "day"), [("backfill", "2026-02-01"), ("asset_triggered", "2026-01-30")]
)
def test_history_is_neither_published_nor_sent(shop, run_type, day):
    newest = shop.publish(people(range(3)))
    events = OutletEventAccessors()
    with pytest.raises(AirflowSkipException, match="is history"):
        building.publish(day, SimpleNamespace(run_type=run_type), events)
    assert publishing.current(shop.store).snapshot_id == newest.snapshot_id
    assert events[AUDIENCES].partition_keys == set()


def test_what_is_published_is_synced_for_every_audience_that_goes_somewhere(tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    change(settings, SHOP)
    judged(settings)
    monkeypatch.setenv("REGULARS_HOME", str(tmp_path))
    events = OutletEventAccessors()
    building.publish(str(AS_OF), SimpleNamespace(run_type="asset_triggered"), events)
    assert events[AUDIENCES].partition_keys == set(switched_on())


def test_an_audience_with_an_offer_is_synced_once_the_shops_have_its_codes(
    offering, tmp_path, monkeypatch
):
    settings = settings_for(tmp_path)
    change(settings, SHOP)
    change(settings, NO_OFFERS_YET)
    judged(settings)
    monkeypatch.setenv("REGULARS_HOME", str(tmp_path))
    monkeypatch.setattr(building, "load_audiences", lambda: offering("vips"))
    published, pushed = OutletEventAccessors(), OutletEventAccessors()
    building.publish(str(AS_OF), SimpleNamespace(run_type="asset_triggered"), published)
    assert published[AUDIENCES].partition_keys == set(switched_on()) - {"vips"}
    building.push_offers(pushed)
    assert pushed[AUDIENCES].partition_keys == {"vips"}


def test_codes_that_nobody_is_sent_are_not_pushed(offering, tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    change(settings, SHOP)
    change(settings, NO_OFFERS_YET)
    change(settings, ONE_THAT_NOBODY_IS_SENT)
    judged(settings)
    monkeypatch.setenv("REGULARS_HOME", str(tmp_path))
    publishing.publish(settings, AS_OF)
    monkeypatch.setattr(building, "load_audiences", lambda: offering("birthday"))
    with pytest.raises(AirflowSkipException, match="no audience"):
        building.push_offers(OutletEventAccessors())


@pytest.fixture
def offering(tmp_path):
    """The audiences that are declared, one of them with an offer."""

    def declared(name: str) -> dict[str, Audience]:
        told = yaml.safe_load(DECLARATIONS.read_text())
        [entry] = [entry for entry in told["models"] if entry["name"] == name]
        offer = {"name": "thanks", "percent": 10, "valid_days": 14}
        entry["config"]["meta"]["audience"]["offer"] = offer
        file = tmp_path / "_audiences.yml"
        file.write_text(yaml.safe_dump(told))
        return load_audiences(file)

    return declared
