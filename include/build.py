"""One `dbt build` within the calling process, telling what is done as it goes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.base_types import EventMsg

from include.dbt import (
    BUILD,
    PARSED,
    dbt_environment,
    dbt_vars,
    parse_environment,
    require_secret,
)
from include.errors import Stop
from include.settings import Settings


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
    parsed = _parse(settings)
    os.environ.update(dbt_environment(settings))
    arguments = [*BUILD, "--vars", json.dumps(dbt_vars(as_of))]
    outcome = dbtRunner(parsed, callbacks=[listen]).invoke(arguments)
    if not outcome.success:
        raise Stop(f"dbt build failed for {as_of}; its output says where")


def _parse(settings: Settings) -> Manifest:
    """The project's models and tests.

    dbt parses everything anew when any variable differs. So it parses for no day: that leaves only
    what changed since the project was installed, which is mostly nothing.
    """
    os.environ.update(parse_environment(settings))
    arguments = ["--quiet", "parse", "--vars", json.dumps(dbt_vars(None))]
    if PARSED.exists():
        arguments += ["--partial-parse-file-path", str(PARSED)]
    outcome = dbtRunner().invoke(arguments)
    if not isinstance(outcome.result, Manifest):
        raise Stop("dbt cannot parse its project; its output says where")
    return outcome.result
