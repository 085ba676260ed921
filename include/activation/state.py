"""State: what a destination holds by our account, folded from a plan and its receipts."""

from __future__ import annotations

from datetime import UTC, datetime

from include.activation.ledger import Ledger
from include.activation.plan import MOST_TRIES, Plan
from include.activation.receipts import acknowledged, outcomes, read_receipts
from include.activation.rejects import refused_members
from include.activation.workbench import Workbench
from include.errors import Retry


def fold_plan(bench: Workbench, ledger: Ledger, plan: Plan) -> None:
    """Bring the state to what the receipts of a completely answered plan say.

    Folding twice gives the same state, so that a crash before `finished.json` does no harm; what is
    finished is left alone, because a later plan may have been folded since.
    Raises `Retry` if a batch has no receipt yet.
    """
    if ledger.has(plan.plan_id, "finished.json"):
        return
    missing = plan.batches - len(acknowledged(ledger, plan.plan_id))
    if missing:
        raise Retry(f"{missing} batches of plan {plan.plan_id} have no receipt yet: sync again")
    not_accepted = outcomes(read_receipts(ledger, plan.plan_id))
    bench.show("plan", ledger.path(plan.plan_id, "plan.parquet"))
    bench.show_state(ledger.state)
    bench.connection.from_arrow(not_accepted).create("not_accepted")
    bench.run(
        "fold_variables",
        plan_id=plan.plan_id,
        started_at=_utc(plan.created_at),
        entered_at=None if ledger.is_begun_anew() else _utc(plan.created_at),
        most_tries=MOST_TRIES,
    )
    file = bench.keep(bench.statement("fold_state"), "state.parquet")
    ledger.take(file, ledger.state)
    bench.show_state(ledger.state)
    refused = bench.connection.from_arrow(refused_members(bench, ledger))
    ledger.take(bench.keep(refused, ledger.rejected), ledger.rejected)
    ledger.finish(plan.plan_id)


def _utc(instant: str) -> datetime:
    return datetime.fromisoformat(instant).astimezone(UTC).replace(tzinfo=None)
