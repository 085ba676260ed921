from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from include.errors import BadInput
from regulars_airflow.runs import as_of, audience

TRIGGERED = datetime(2026, 11, 21, 22, tzinfo=UTC)


def run(logical_date: datetime | None = None, partition_key: str | None = None):
    return SimpleNamespace(
        logical_date=logical_date, run_after=TRIGGERED, partition_key=partition_key
    )


def test_a_run_without_a_logical_date_computes_for_the_day_it_was_triggered():
    assert as_of(run()) == date(2026, 11, 21)


def test_a_run_of_a_past_day_computes_for_that_day():
    assert as_of(run(logical_date=datetime(2026, 3, 1, tzinfo=UTC))) == date(2026, 3, 1)


def test_a_day_that_is_set_wins(monkeypatch):
    monkeypatch.setenv("REGULARS_AS_OF", "2018-01-01")
    assert as_of(run(logical_date=datetime(2026, 3, 1, tzinfo=UTC))) == date(2018, 1, 1)


def test_the_partition_names_the_audience_and_else_the_parameter():
    assert audience(run(partition_key="vips"), {"audience": "at_risk"}) == "vips"
    assert audience(run(), {"audience": "at_risk"}) == "at_risk"


def test_a_run_by_hand_without_an_audience_is_refused():
    with pytest.raises(BadInput, match="with an audience"):
        audience(run(), {"audience": None})
