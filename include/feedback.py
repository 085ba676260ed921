"""What destinations tell after a sync: what became of batches, and what their contacts have done.

Google and TikTok say hours later whom of a batch they took (`include/outcomes.py`). At Mailchimp
people subscribe and leave meanwhile: what has changed is pulled before every plan
(`include/activation/statuses.py`), and here for those who rely on it without one: purchases and
journeys go to nobody who has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.activation.ledger import ROOT
from include.activation.reconcile import approach
from include.activation.statuses import refresh_statuses
from include.activation.workbench import open_workbench
from include.connections import Credentials
from include.destinations import Destination, known_destination
from include.outcomes import Standing, ask_outcomes, tells_outcomes
from include.settings import Settings
from include.store import Store


@dataclass(frozen=True)
class Feedback:
    """What one destination has told, in counts.

    standings: the batches of the last seven days, audience by audience. contacts: all that the
    account has, by the destination's word for their status.
    """

    standings: tuple[Standing, ...]
    contacts: Mapping[str, int]


def telling(store: Store) -> list[str]:
    """The destinations that were ever planned for and tell something afterwards."""
    return [name for name in store.list(ROOT) if _tells(known_destination(name))]


def pull_feedback(settings: Settings, name: str, credentials: Credentials) -> Feedback:
    """Ask one destination. Raises what a call raises; what was told until then is kept."""
    standings = ask_outcomes(settings, lambda _: credentials, name)
    destination, caller = approach(settings, name, credentials)
    if not destination.status_groups:
        return Feedback(tuple(standings), {})
    store = Store(settings.store)
    with open_workbench(settings, store) as bench:
        statuses = refresh_statuses(bench, destination, caller)
    with open_workbench(settings, store) as bench:
        bench.show_statuses(statuses)
        counted = bench.run("count_statuses").to_pylist()
    return Feedback(tuple(standings), {row["status"]: row["contacts"] for row in counted})


def _tells(destination: type[Destination]) -> bool:
    return bool(destination.status_groups) or tells_outcomes(destination)
