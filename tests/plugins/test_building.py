from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from include import publishing
from include.activation.audiences import switched_on
from regulars_airflow import building
from regulars_airflow.assets import AUDIENCES
from tests.include.activation.shop import people
from tests.include.built_shop import AS_OF, SHOP, change, settings_for
from tests.include.test_publishing import judged


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
