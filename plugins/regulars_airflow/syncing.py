"""One audience to one destination: the tasks of `sync_audiences`, which exchange counts and ids."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from include.activation.audiences import get_audience
from include.activation.ledger import Ledger
from include.activation.sync import PlanSummary, check_guard, fold, plan_audience, send_plan, sync
from include.settings import load_settings
from include.store import Store
from regulars_airflow.hooks import credentials


def plan(audience: str, destination: str) -> dict[str, Any]:
    """Plan, or take up the plan that was begun before; skips if the audience goes elsewhere."""
    declared = get_audience(audience)
    if destination not in {target.to for target in declared.destinations}:
        raise AirflowSkipException(f"{audience} does not go to {destination}")
    summary = plan_audience(load_settings(), declared, destination, credentials(destination))
    return asdict(summary)


def may_be_sent(plan: dict[str, Any], *, dry_run: bool) -> bool:
    """Whether there is anything to send. Raises `GuardBreached` if the plan changes too much."""
    if dry_run or plan["plan_id"] is None:
        return False
    check_guard(PlanSummary(**plan))
    return True


def send(plan: dict[str, Any]) -> dict[str, Any]:
    """Send what is left of the plan and fold what was answered into the destination's state.

    Skips if another run has replaced the plan since: its own plan does the work of both.
    """
    settings, audience = load_settings(), get_audience(plan["audience"])
    destination, plan_id = plan["destination"], plan["plan_id"]
    ledger = Ledger(Store(settings.store), destination, audience.name)
    if not ledger.has(plan_id, "plan.json"):
        raise AirflowSkipException(f"plan {plan_id} was replaced by another run's")
    if plan["resumed"]:
        # What was published since that plan was begun must not wait for the next run.
        return asdict(sync(settings, audience, destination, credentials(destination)))
    sent = send_plan(settings, audience, destination, credentials(destination), plan_id)
    fold(settings, audience, destination, plan_id)
    return asdict(sent)
