"""From raw orders to a published snapshot: the tasks of `build_audiences`, for one day each."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from include import publishing
from include.activation.audiences import load_audiences
from include.offers import push
from include.quality import gate
from include.settings import load_settings
from include.sources.declarations import sources_with_rows
from include.store import Store
from regulars_airflow.assets import AUDIENCES
from regulars_airflow.hooks import source_credentials


def raw_gate(day: str) -> str:
    """Judge what has landed; returns the verdict. Raises `GateFailed`."""
    settings = load_settings()
    return gate.raw_gate(settings, date.fromisoformat(day), sources_with_rows(settings)).verdict


def audience_gate(day: str) -> str:
    """Judge what was built; returns the verdict. Raises `GateFailed`."""
    verdict = gate.audience_gate(load_settings(), date.fromisoformat(day), [*load_audiences()])
    return verdict.verdict


def publish(day: str, dag_run: Any, outlet_events: Any) -> str:
    """Publish what was built, and start a sync of every audience that goes somewhere.

    Those with an offer wait until the shops know its codes. Returns the snapshot's id.

    Skips, so that nothing is published nor sent, when the run rebuilds history: a backfill, or a
    day before the one that is published.
    """
    settings = load_settings()
    newest = publishing.current(Store(settings.store))
    as_of = date.fromisoformat(day)
    if dag_run.run_type == "backfill" or (newest and as_of < newest.as_of):
        raise AirflowSkipException(f"{day} is history; published is {newest and newest.as_of}")
    snapshot = publishing.publish(settings, as_of)
    outlet_events[AUDIENCES].add_partitions(_going(with_offer=False))
    return snapshot.snapshot_id


def push_offers(outlet_events: Any) -> list[dict[str, Any]]:
    """Push the codes of the published offers to the shops, and start the syncs that wait for that.

    Codes of offers that no audience takes anywhere stay here; advocates hand on theirs in any case.
    Returns counts, never a code. Skips if no audience that goes somewhere has an offer, and no
    advocate a code that the shops do not know.
    """
    waiting = _going(with_offer=True)
    pushed = push.push_offers(
        load_settings(), credentials=source_credentials, standing_only=not waiting
    )
    if not waiting and not pushed:
        raise AirflowSkipException("no audience that goes somewhere has an offer, no code is new")
    outlet_events[AUDIENCES].add_partitions(waiting)
    return [asdict(one) for one in pushed]


def _going(*, with_offer: bool) -> list[str]:
    """The audiences that go somewhere, with or without an offer."""
    return [
        name
        for name, audience in load_audiences().items()
        if audience.is_switched_on and (audience.offer is not None) == with_offer
    ]
