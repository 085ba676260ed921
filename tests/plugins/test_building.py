from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from include import publishing
from regulars_airflow import building
from regulars_airflow.assets import AUDIENCES
from tests.include.activation.shop import people


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
