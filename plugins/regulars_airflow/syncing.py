"""One audience to one destination: the tasks of `sync_audiences`, which exchange counts and ids."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from include.activation import approval
from include.activation.audiences import get_audience
from include.activation.ledger import Ledger
from include.activation.sync import (
    PlanSummary,
    approve_plan,
    check_guard,
    fold,
    plan_audience,
    send_plan,
    sync,
)
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


def has_work(plan: dict[str, Any], *, dry_run: bool) -> bool:
    """Whether there is anything to send."""
    return not dry_run and plan["plan_id"] is not None


def needs_a_person(plan: dict[str, Any]) -> bool:
    """Whether the plan waits for an approval. Raises `GuardBreached` if nobody can give one."""
    summary = _summary(plan)
    if summary.decision == "approval" and not (summary.resumed or summary.approved):
        return True
    check_guard(summary)
    return False


def question(plan: dict[str, Any]) -> str:
    """What a person is shown of a plan that waits, in Markdown: no personal data."""
    summary = _summary(plan)
    return approval.question(summary, approval.examples(load_settings(), summary))


def hours_to_answer(plan: dict[str, Any]) -> float:
    """How long a plan waits for an approval."""
    return get_audience(plan["audience"]).guard.approval_hours


def approve(plan: dict[str, Any], plan_hash: str, by: str | None) -> None:
    """Let the plan of this hash through. Raises `GuardBreached` if another one waits by now.

    Skips if another run has replaced it: that one asks by itself.
    """
    ledger = _ledger(plan)
    _leave_to_another_run(ledger, plan)
    # Approved by hand while the question was open here.
    if not ledger.has(plan["plan_id"], "started.json"):
        approve_plan(load_settings(), plan["audience"], plan["destination"], plan_hash, by)


def send(plan: dict[str, Any]) -> dict[str, Any]:
    """Send what is left of the plan and fold what was answered into the destination's state.

    Skips if another run has replaced the plan since: its own plan does the work of both.
    """
    settings, audience = load_settings(), get_audience(plan["audience"])
    destination, plan_id = plan["destination"], plan["plan_id"]
    _leave_to_another_run(_ledger(plan), plan)
    if plan["resumed"]:
        # What was published since that plan was begun must not wait for the next run.
        return asdict(sync(settings, audience, destination, credentials(destination)))
    sent = send_plan(settings, audience, destination, credentials(destination), plan_id)
    fold(settings, audience, destination, plan_id)
    return asdict(sent)


def _summary(plan: dict[str, Any]) -> PlanSummary:
    """The plan as it stands now: it may have been approved since it was made."""
    is_approved = _ledger(plan).has(plan["plan_id"], "approval.json")
    return replace(PlanSummary(**plan), approved=is_approved)


def _ledger(plan: dict[str, Any]) -> Ledger:
    return Ledger(Store(load_settings().store), plan["destination"], plan["audience"])


def _leave_to_another_run(ledger: Ledger, plan: dict[str, Any]) -> None:
    if not ledger.has(plan["plan_id"], "plan.json"):
        raise AirflowSkipException(f"plan {plan['plan_id']} was replaced by another run's")
