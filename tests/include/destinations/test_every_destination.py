from __future__ import annotations

from pathlib import Path
from pkgutil import iter_modules

import include.destinations
from include.destinations import DESTINATIONS


def test_every_module_registers_one_destination():
    modules = {module.name for module in iter_modules(include.destinations.__path__)} - {"base"}
    assert set(DESTINATIONS) == modules


def test_every_destination_is_held_to_the_contract():
    for name, destination in DESTINATIONS.items():
        test = Path(__file__).parent / f"test_{name}.py"
        assert f"class Test{destination.__name__}(DestinationContract):" in test.read_text()
