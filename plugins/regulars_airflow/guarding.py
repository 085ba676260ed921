"""The guard as a task: a plan passes, is blocked, or waits until a person has decided about it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.bases.skipmixin import SkipMixin

from regulars_airflow.alerting import tell_recovery, tell_trouble, trouble

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE = "Approve "
"""Followed by the plan's hash, so that the answer itself names the plan that was looked at."""
REJECT = "Reject"


class GuardPlan(HITLOperator, SkipMixin):
    """Skips what follows where nothing is to be sent; fails if the plan is blocked.

    A plan that needs a person waits for one in the state `awaiting_input`, which takes no slot of
    any pool; a time-out is a rejection, and a rejection skips what follows.
    """

    template_fields = ("plan", *HITLOperator.template_fields)
    inherits_from_skipmixin = True

    def __init__(self, *, plan: Any, **arguments: Any) -> None:
        super().__init__(
            subject="May this plan be sent?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            # That the guard has done its work does not mean that the audience is well.
            on_success_callback=None,
            **arguments,
        )
        self.plan = plan

    def execute(self, context: Context) -> None:
        """Let the plan pass, skip what follows, raise `GuardBreached`, or wait for a person."""
        from regulars_airflow import syncing

        is_dry_run = context["params"]["dry_run"]
        if not syncing.has_work(self.plan, dry_run=is_dry_run):
            self._skip_the_rest(context)
            if not is_dry_run:
                tell_recovery(context)
        elif syncing.needs_a_person(self.plan):
            audience, destination = self.plan["audience"], self.plan["destination"]
            self.subject = f"Send {audience} to {destination} although its guard holds it up?"
            self.body = syncing.question(self.plan)
            self.options = [f"{APPROVE}{self.plan['plan_hash']}", REJECT]
            hours = syncing.hours_to_answer(self.plan)
            self.response_timeout = timedelta(hours=hours)
            what = "; ".join(self.plan["reasons"])
            way_out = f"answer within {hours:g} hours; no answer means no"
            link = self.generate_link_to_ui_from_context(context=context)
            tell_trouble(trouble(context, "held_up", what, way_out, link))
            super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """Approve the plan that the answer names, or skip what follows."""
        from regulars_airflow import syncing

        if "error" in event:
            self.process_trigger_event_error(event)
        [answer] = event["chosen_options"]
        person = (event["responded_by_user"] or {}).get("id")
        if answer == REJECT:
            self.log.info("Rejected by %s", person or "nobody's answer in time")
            self._skip_the_rest(context)
        else:
            syncing.approve(self.plan, answer.removeprefix(APPROVE), by=person)

    def _skip_the_rest(self, context: Context) -> None:
        self.skip(ti=context["ti"], tasks=self.get_direct_relatives(upstream=False))
