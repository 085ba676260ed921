from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.destinations.mailchimp import Mailchimp
from include.destinations.meta import Meta
from tests.faults.invariants import FaultCase
from tests.include.activation.shop import Shop
from tests.sandbox_server import Sandbox, start_sandbox

BATCH_SIZE = 2


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox) -> Shop:
    return Shop(tmp_path / "home", sandbox)


@pytest.fixture
def case_of(shop: Shop, caplog: pytest.LogCaptureFixture) -> Callable[[str], FaultCase]:
    """A case at one destination."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="include")
    return lambda destination: FaultCase(shop, destination, caplog)


@pytest.fixture(params=["mailchimp", "meta"])
def case(request: pytest.FixtureRequest, case_of: Callable[[str], FaultCase]) -> FaultCase:
    """A case at each destination in turn."""
    return case_of(request.param)


@pytest.fixture
def mailchimp(case_of: Callable[[str], FaultCase]) -> FaultCase:
    return case_of("mailchimp")


@pytest.fixture
def meta(case_of: Callable[[str], FaultCase]) -> FaultCase:
    return case_of("meta")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a handful of people make several batches."""
    monkeypatch.setattr(Mailchimp, "batch_size", BATCH_SIZE)
    monkeypatch.setattr(Meta, "batch_size", BATCH_SIZE)
