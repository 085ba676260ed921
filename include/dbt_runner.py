"""dbt within the calling process, over a project that is parsed once.

dbt parses the whole project before every command, which takes longer than building a small shop,
and comes to the same until a file of the project or a variable changes. The day is read when a
model runs, so that the project parsed for one day serves all.

`python -m include.dbt_runner build ...` is `dbt build ...`, in the environment that
`include/dbt.py` gives.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder
from dbt_common.events.base_types import EventMsg

from include.dbt import DBT_PROJECT

KEPT = DBT_PROJECT / "target/parsed"
MOST_KEPT = 10
PARSED_FIRST = frozenset({"build", "compile", "docs", "list", "ls", "run", "seed", "show", "test"})
# What dbt writes into the project is no part of it.
WRITTEN = frozenset({"target", "logs", ".user.yml"})


def run(
    arguments: Sequence[str],
    variables: dict[str, Any],
    callbacks: Sequence[Callable[[EventMsg], None]] = (),
) -> dbtRunnerResult:
    """One dbt command with these variables; its output goes to the terminal, as dbt's own does."""
    given = ["--vars", json.dumps(variables)]
    command = next((word for word in arguments if not word.startswith("-")), None)
    file = KEPT / f"{fingerprint(variables)}.msgpack"
    manifest = _kept(file) if command in PARSED_FIRST else None
    if manifest is None and command in {*PARSED_FIRST, "parse"}:
        parse = arguments if command == "parse" else ["--quiet", "parse"]
        parsed = dbtRunner().invoke([*parse, *given])
        if parsed.success:
            manifest = cast(Manifest, parsed.result)
            _keep(manifest, file)
        if command == "parse" or not parsed.success:
            return parsed
    return dbtRunner(manifest, list(callbacks)).invoke([*arguments, *given])


def fingerprint(variables: dict[str, Any]) -> str:
    """SHA-256 over everything that decides how the project is parsed; the day does not."""
    digest = hashlib.sha256()
    for folder in sorted(path for path in DBT_PROJECT.iterdir() if path.name not in WRITTEN):
        for file in sorted([folder, *folder.rglob("*")]):
            if file.is_file():
                digest.update(f"{file.relative_to(DBT_PROJECT)}\n".encode())
                digest.update(file.read_bytes())
    others = {name: value for name, value in variables.items() if name != "as_of"}
    # Relations are named while parsing, by the warehouse's name among others.
    warehouse = Path(os.environ["REGULARS_WAREHOUSE"]).stem
    versions = [version("dbt-core"), version("dbt-duckdb")]
    digest.update(json.dumps([others, warehouse, versions], sort_keys=True).encode())
    return digest.hexdigest()


def _kept(file: Path) -> Manifest | None:
    """The project as it was parsed; None if it never was, or a power cut has cut the file short."""
    try:
        return Manifest.from_msgpack(file.read_bytes(), decoder=extended_mashumuro_decoder)
    except (FileNotFoundError, ValueError):
        return None


def _keep(manifest: Manifest, file: Path) -> None:
    """Write the parsed project down for others; one that can not be written is parsed again."""
    arriving = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        arriving.write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))
        arriving.replace(file)
        by_age = sorted(file.parent.glob("*.msgpack"), key=lambda kept: kept.stat().st_mtime)
        for old in by_age[:-MOST_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        arriving.unlink(missing_ok=True)


def main() -> None:
    """Run what the command line says; the variables come as `--vars`, last."""
    *arguments, _, variables = sys.argv[1:]
    outcome = run(arguments, json.loads(variables))
    if outcome.exception:
        sys.exit(str(outcome.exception))
    sys.exit(0 if outcome.success else 1)


if __name__ == "__main__":
    main()
