"""Lookalikes: audiences that Meta makes of people who are like those of one of ours."""

from __future__ import annotations

from collections.abc import Callable

from include.activation.ledger import Ledger
from include.connections import Credentials, read_connection
from include.destinations.base import RemoteAudience
from include.destinations.meta import Meta
from include.errors import BadInput
from include.settings import Settings
from include.store import Store


def make_lookalike(
    settings: Settings,
    audience: str,
    country: str,
    percent: int,
    credentials: Callable[[str], Credentials] = read_connection,
) -> RemoteAudience:
    """Make sure that Meta has the lookalike of an audience in a country; see `ensure_lookalike`.

    Raises `BadInput` if the audience was never synced to Meta.
    """
    ledger = Ledger(Store(settings.store), Meta.name, audience)
    target = ledger.recall(ledger.target)
    if not target:
        raise BadInput(f"{audience} was never synced to Meta: there is nothing to be like")
    opened = Meta(credentials(Meta.connection()))
    ledger.check_account(opened.account)
    seed = RemoteAudience(target["audience_id"], audience)
    return opened.ensure_lookalike(seed, country, percent)
