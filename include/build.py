"""One `dbt build` within the calling process, telling what is done as it goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date

from dbt_common.events.base_types import EventMsg

from include import dbt_runner
from include.dbt import BUILD, dbt_environment, dbt_vars, require_secret
from include.errors import Stop
from include.settings import Settings
from include.store import keep_private


def build(settings: Settings, as_of: date, tell: Callable[[str, str], None]) -> None:
    """Build and test everything in this process, which has to end soon: dbt keeps the warehouse.

    `tell` is given each model's (and seed's) unique id and its state when it is done: success,
    error, or skipped because of one before it. Raises `Stop` when dbt fails, `BadInput` if an offer
    has no secret to make its codes with.
    """

    def listen(event: EventMsg) -> None:
        if event.info.name == "NodeFinished":
            node = event.data.node_info
            if node.resource_type in {"model", "seed"}:
                tell(node.unique_id, node.node_status)

    require_secret()
    keep_private()
    os.environ.update(dbt_environment(settings))
    if not dbt_runner.run(BUILD, dbt_vars(as_of), [listen]).success:
        raise Stop(f"dbt build failed for {as_of}; its output says where")
