"""Every module in this package is a destination; importing the package registers them all."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from include.connections import Credentials
from include.destinations.base import Destination
from include.errors import BadInput

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")

DESTINATIONS = Destination.registry


def known_destination(name: str) -> type[Destination]:
    """The kind of destination of that name. Raises `BadInput` that lists the known ones."""
    if name not in DESTINATIONS:
        known = ", ".join(sorted(DESTINATIONS))
        raise BadInput(f"unknown destination {name}; known are: {known}")
    return DESTINATIONS[name]


def open_destination(name: str, credentials: Credentials) -> Destination:
    """The destination of that name. Raises `BadInput` that lists the known ones."""
    return known_destination(name)(credentials)


__all__ = ["DESTINATIONS", "Destination", "known_destination", "open_destination"]
