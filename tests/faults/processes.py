"""Syncs in processes of their own, which a test stops, continues, ends or kills."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from include.activation import sync as activation
from include.activation.calls import Patience
from include.connections import Credentials
from include.destinations import DESTINATIONS
from include.errors import RegularsError
from include.settings import Settings
from tests.faults.conftest import BATCH_SIZE
from tests.faults.invariants import FaultCase
from tests.include.activation.shop import audience

PROCESSES = get_context("forkserver")
# What the processes run, so that none of them has to import it.
PROCESSES.set_forkserver_preload(["tests.faults.processes", "tests.faults.test_erasure"])
PATIENCE = Patience(attempts=4, first_wait=0.01, longest_wait=2, deadline=300)


def start(
    case: FaultCase,
    prepare: Callable[..., None] | None = None,
    arguments: tuple[object, ...] = (),
    output: str = "output.txt",
) -> BaseProcess:
    """A sync in another process; `prepare` changes that process before. Its exit status is 3 if
    the sync raised an error of ours, which stands in the file `output` with all that was logged.
    """
    path = Path(case.shop.settings.home) / output
    process = PROCESSES.Process(
        target=_sync,
        args=(
            case.shop.settings,
            case.destination,
            case.shop.credentials[case.destination],
            path,
            prepare,
            arguments,
        ),
    )
    process.start()
    return process


def _sync(
    settings: Settings,
    destination: str,
    credentials: Credentials,
    output: Path,
    prepare: Callable[..., None] | None,
    arguments: tuple[object, ...],
) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    DESTINATIONS[destination].batch_size = BATCH_SIZE
    if prepare:
        prepare(*arguments)
    try:
        activation.sync(settings, audience(), destination, credentials, patience=PATIENCE)
    except RegularsError:
        traceback.print_exc()
        sys.exit(3)
