"""The tasks of `pull_feedback`, which hand on counts and ids."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from include.errors import Stop
from include.feedback import pull_feedback, telling
from include.settings import load_settings
from include.store import Store
from regulars_airflow.hooks import credentials

log = logging.getLogger(__name__)


def destinations() -> list[str]:
    """Whom to ask: the destinations that were synced to and tell something afterwards."""
    return telling(Store(load_settings().store))


def pull(destination: str) -> dict[str, Any]:
    """What one destination has told, in counts. Raises `Stop` if it has failed whole batches."""
    told = pull_feedback(load_settings(), destination, credentials(destination))
    for one in told.standings:
        counts = f"{one.done} batches done, {one.processing} under way, {one.failed} failed"
        log.info("%s to %s: %s; not taken: %s", one.audience, destination, counts, one.not_taken)
    if told.contacts:
        log.info("contacts of %s: %s", destination, told.contacts)
    failures = [
        f"{one.failed} of {one.audience} ({', '.join(sorted(one.not_taken)) or 'no code'})"
        for one in told.standings
        if one.failed
    ]
    if failures:
        raise Stop(
            f"{destination} took batches, and then let nobody of them in: {'; '.join(failures)}."
            " Put right what the codes say, then have everybody sent again: regulars reconcile"
            f" --audience ... --destination {destination} --adds-only"
        )
    return asdict(told)
