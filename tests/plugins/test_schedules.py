from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import TimeRestriction

from regulars_airflow.assets import WEBHOOKS
from regulars_airflow.schedules import ingest_schedule


def first_run(now: datetime) -> datetime:
    schedule = ingest_schedule()
    timetable = decode_timetable(encode_timetable(schedule)).timetable
    with time_machine.travel(now, tick=False):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=None,
            restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
        )
    return info.run_after


@pytest.mark.parametrize("minute", [0, 1, 59])
def test_a_new_dag_waits_for_the_next_time_even_shortly_after_the_last(minute: int) -> None:
    now = datetime(2026, 11, 22, 0, minute, 30, tzinfo=UTC)
    assert first_run(now) == datetime(2026, 11, 23, tzinfo=UTC)


def test_the_settings_say_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_INGEST_SCHEDULE", "0 4 * * 1")
    assert first_run(datetime(2026, 11, 22, tzinfo=UTC)) == datetime(2026, 11, 23, 4, tzinfo=UTC)


def test_without_times_it_begins_when_somebody_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_INGEST_SCHEDULE", "none")
    assert ingest_schedule() == [WEBHOOKS]
