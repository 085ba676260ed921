"""When a chain begins by itself."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable

from include.settings import load_settings
from regulars_airflow.assets import WEBHOOKS

NEVER = "none"


def cron(expression: str) -> CronTriggerTimetable:
    """Cron times in UTC, of which a new DAG waits for the next.

    Left to itself (`False` included) Airflow would run it at once if the last one is not long ago,
    beside a run that somebody has just asked for.
    """
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))


def ingest_schedule() -> AssetOrTimeSchedule | list[Asset]:
    """The settings' cron times, and whenever somebody has called."""
    expression = load_settings().ingest_schedule
    if expression == NEVER:
        return [WEBHOOKS]
    return AssetOrTimeSchedule(timetable=cron(expression), assets=[WEBHOOKS])
