"""Read `sources.yml`, strictly: whatever it does not know is an error that names file and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml
from pydantic import ValidationError

from include.connections import Credentials, read_connection
from include.errors import BadInput
from include.settings import Settings
from include.sources.base import Place, Source


def load_sources(
    settings: Settings, credentials: Callable[[str], Credentials] = read_connection
) -> dict[str, Source]:
    """The declared sources by name, in the file's order; they ask `credentials` how to sign in.

    Raises `BadInput` that names the file, the source and the key.
    """
    file = settings.sources.expanduser().absolute()
    sources: dict[str, Source] = {}
    for number, entry in enumerate(_entries(file), start=1):
        name = entry.get("name", f"source {number}") if isinstance(entry, dict) else number
        place = Place(file, settings.home.absolute(), credentials, settings.store)
        source = _declared(entry, f"{file}, {name}", place)
        if source.name in sources:
            raise BadInput(f"{file}, {name}: the name is used twice")
        sources[source.name] = source
    for source in sources.values():
        for key in ("customers_of", "products_of"):
            other = getattr(source.options, key)
            if other and other not in sources:
                raise BadInput(f"{file}, {source.name}, {key}: there is no source {other!r}")
    return sources


def sources_with_rows(settings: Settings) -> list[str]:
    """The names of the sources that a gate must find rows of."""
    return [name for name, source in load_sources(settings).items() if not source.may_be_empty]


def _entries(file: Path) -> list[object]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(
            f"{file}: not found; write it, or point REGULARS_SOURCES to one (see examples/)"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: not YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("sources"), list):
        raise BadInput(f"{file}: expected a list under the key 'sources'")
    unknown = [key for key in content if key != "sources"]
    if unknown:
        raise BadInput(f"{file}, {unknown[0]}: unknown key; only 'sources' stands at the top")
    if not content["sources"]:
        raise BadInput(f"{file}, sources: the list is empty")
    entries: list[object] = content["sources"]
    return entries


def _declared(entry: object, where: str, place: Place) -> Source:
    if not isinstance(entry, dict):
        raise BadInput(f"{where}: expected keys such as name, type, grain")
    kind = Source.registry.get(entry.get("type", ""))
    if kind is None:
        known = ", ".join(sorted(Source.registry))
        raise BadInput(f"{where}, type: {entry.get('type')!r} is unknown; known are: {known}")
    try:
        return kind(kind.Options.model_validate(entry), place)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise BadInput(f"{where}, {key}: {reason}" if key else f"{where}: {reason}") from error
