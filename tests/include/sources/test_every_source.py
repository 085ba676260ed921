from __future__ import annotations

from importlib import import_module
from pathlib import Path

from include.sources.base import Source
from tests.include.sources.contract import SourceContract


def test_every_source_is_held_to_the_contract():
    for file in Path(__file__).parent.glob("test_*.py"):
        import_module(f"tests.include.sources.{file.stem}")
    held = {contract.source for contract in SourceContract.__subclasses__()}
    assert Source.registry
    assert set(Source.registry.values()) <= held
