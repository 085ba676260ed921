"""Run the benchmark's cases and print one table each: figures, ratios, and promises kept or not."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from include.bench import (
    change,
    difference,
    hashing,
    loading,
    models,
    predictions,
    rfm,
    sending,
    shopify,
)
from include.bench.measure import Case, Figures, measure, verdicts
from include.errors import BadInput

CASES: dict[str, tuple[Case, ...]] = {
    "rfm": (rfm.CASE_1M, rfm.CASE_10M),
    "hashing": (hashing.CASE,),
    "difference": (difference.CASE,),
    "loading": (loading.CASE, loading.DAY_CASE),
    "shopify": (shopify.CASE, shopify.TENTH_CASE),
    "sending": sending.CASES,
    "change": (change.CASE,),
    "predictions": (predictions.CASE,),
    "models": (models.CASE_1M, models.CASE_10M),
}


def run_benchmarks(names: Sequence[str], console: Console) -> bool:
    """Run the named cases, or all; whether every promise was kept.

    Raises `BadInput` for a name that is unknown.
    """
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise BadInput(f"unknown benchmark {unknown[0]}; known are: {', '.join(CASES)}")
    kept = True
    for name in names or CASES:
        for case in CASES[name]:
            with tempfile.TemporaryDirectory(prefix="regulars-bench-") as folder:
                kept &= _show(case, measure(case, Path(folder)), console)
                for note in case.notes(Path(folder)) if case.notes else ():
                    console.print(f"  {note}", markup=False, highlight=False)
    return kept


def _show(case: Case, figures: dict[str, Figures], console: Console) -> bool:
    base = next(iter(figures.values()))
    table = Table(title=case.name, title_justify="left")
    for heading in ("", "wall s", "CPU s", "peak MiB", "wall x", "CPU x"):
        table.add_column(heading, justify="right" if heading else "left")
    if any(taken.calls for taken in figures.values()):
        table.add_column("calls", justify="right")
    for name, taken in figures.items():
        table.add_row(
            name,
            f"{taken.wall_seconds:.2f}",
            f"{taken.cpu_seconds:.2f}",
            f"{taken.peak_mib:.0f}",
            f"{taken.wall_seconds / base.wall_seconds:.1f}",
            f"{taken.cpu_seconds / base.cpu_seconds:.1f}",
            *((f"{taken.calls}",) if taken.calls else ()),
        )
    console.print(table)
    kept = True
    for limit, value, is_kept in verdicts(case, figures):
        against = f" x {limit.against}" if limit.against else ""
        word = "kept" if is_kept else "MISSED"
        console.print(
            f"  {word}: {limit.contender} {limit.figure} {value:.2f}{against}, "
            f"at most {limit.times:.2f}"
        )
        kept &= is_kept
    return kept
