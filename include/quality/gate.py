"""The two gates: what has landed is judged before it is built, what is built before publishing.

A gate takes a profile of the data (`include/quality/profiles.py`), has Great Expectations judge it
by the suites (`include/quality/suites/`), leaves a report in the store, and refuses what is
critical. Changes are measured against the profiles that were kept with the snapshot published last.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib import import_module

import duckdb

from include import publishing
from include.erasure.warehouse import enforce
from include.errors import GateFailed
from include.instants import IDENTIFIER, now_after
from include.quality.builds import fingerprint
from include.quality.profiles import (
    Frames,
    as_profile,
    audience_frames,
    raw_frames,
    with_changes,
)
from include.quality.report import Gate, GateReport, Outcome, explain, history, save
from include.settings import Settings
from include.store import Store
from include.warehouse import Warehouse, visit

log = logging.getLogger(__name__)


def raw_gate(settings: Settings, as_of: date, declared_sources: Sequence[str]) -> GateReport:
    """Judge what has landed from every declared source, by name.

    Raises `GateFailed` if something critical is wrong: nothing may be built from it.
    """
    if not declared_sources:
        raise GateFailed("no source is declared; list one in sources.yml")
    enforce(settings)
    with _reading(settings) as warehouse:
        frames = raw_frames(warehouse, as_of, list(declared_sources))
    return _judge(Store(settings.store), "raw", as_of, "", frames)


def audience_gate(settings: Settings, as_of: date, declared_audiences: Sequence[str]) -> GateReport:
    """Judge what dbt has built: the marts, and every declared audience, by name.

    What the raw gate last found is part of the report, so that one report decides about publishing.
    The verdict `approve` publishes only when a person accepts the report (`publishing.publish`).
    Raises `GateFailed` if something critical is wrong: this build cannot be published.
    """
    store = Store(settings.store)
    before = publishing.current(store)
    with _reading(settings) as warehouse:
        build = fingerprint(warehouse, as_of)
        frames = audience_frames(
            warehouse, as_of, before.as_of if before else None, list(declared_audiences)
        )
    landed = next(history(store, "raw"), None)
    return _judge(store, "audience", as_of, build, frames, landed)


@contextmanager
def _reading(settings: Settings) -> Iterator[Warehouse]:
    try:
        with visit(settings, read_only=True) as warehouse:
            yield warehouse
    except duckdb.CatalogException as error:
        missing = str(error).splitlines()[0]
        raise GateFailed(
            f"the warehouse lacks what the gate reads: run `regulars ingest` and build ({missing})"
        ) from error


def _judge(
    store: Store,
    gate: Gate,
    as_of: date,
    build: str,
    frames: Frames,
    landed: GateReport | None = None,
) -> GateReport:
    # Great Expectations takes seconds to import; only who runs a gate pays for it.
    evaluation = import_module("include.quality.evaluation")
    before = publishing.current(store)
    profile = before.report().profile if before else {}
    compared = {
        name: with_changes(name, frame, profile.get(name, [])) for name, frame in frames.items()
    }
    outcomes: list[Outcome] = evaluation.evaluate(compared)
    last = next(history(store, gate), None)
    now = now_after(last.created_at if last else None)
    report = GateReport(
        report_id=now.strftime(IDENTIFIER),
        gate=gate,
        as_of=as_of,
        created_at=now,
        build=build,
        previous_snapshot_id=before.snapshot_id if before else None,
        outcomes=(*outcomes, *(landed.failures if landed else ())),
        profile={**(landed.profile if landed else {}), **as_profile(compared)},
    )
    save(store, report)
    for failure in report.failures:
        log.warning("%s gate, %s: %s", gate, failure.severity, failure)
    log.info("%s gate: %s, see %s", gate, report.verdict, report.page_path)
    if report.verdict == "block":
        raise GateFailed(explain(report))
    return report
