"""The figures a gate judges: small frames of counts, shares, ages and sums, never a person's row.

Each frame has one row per `subject` (a source, a table, a segment, an audience, or the shop as a
whole), and the suffix of a figure's name says what it is: `_count` and `_sum` (whose change is
relative), `_share` (0 to 1; its change is a difference), `_ratio`, `_days`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, cast

import pandas as pd
import pyarrow as pa

from include.quality.report import Profile
from include.warehouse import Warehouse

Frames = dict[str, pd.DataFrame]

# A subject that held fewer than this before is not compared: in a handful, any change is chance.
COMPARABLE = 50
SIZES = {
    "sources": "row_count",
    "shop": "customer_count",
    "tables": "row_count",
    "segments": "customer_count",
    "audiences": "member_count",
}


def raw_frames(warehouse: Warehouse, as_of: date, declared_sources: list[str]) -> Frames:
    """What has landed: `sources`."""
    sources = warehouse.run(
        "profile_sources",
        as_of=as_of,
        now=datetime.now(UTC).replace(tzinfo=None),
        declared_sources=declared_sources,
    )
    return {"sources": _frame(sources)}


def audience_frames(
    warehouse: Warehouse, as_of: date, previous_as_of: date | None, declared_audiences: list[str]
) -> Frames:
    """What dbt has built: `shop`, `tables`, `segments`, `audiences`."""
    shop = warehouse.run(
        "profile_shop",
        as_of=as_of,
        previous_as_of=previous_as_of,
        declared_audiences=declared_audiences,
    )
    audiences = warehouse.run("profile_audiences", declared_audiences=declared_audiences)
    return {
        "shop": _frame(shop),
        "tables": _frame(warehouse.run("profile_tables")),
        "segments": _frame(warehouse.run("profile_segments")),
        "audiences": _frame(audiences),
    }


def with_changes(suite: str, frame: pd.DataFrame, before: list[dict[str, Any]]) -> pd.DataFrame:
    """Add `<figure>_change` for every count, sum and share, measured against an earlier profile.

    Counts and sums: now / before - 1. Shares: now - before. Missing where there is nothing to
    compare with: a new subject or figure, a count or sum that was 0, a subject that was smaller
    than `COMPARABLE`.
    """
    figures = [name for name in map(str, frame) if name.endswith(("_count", "_sum", "_share"))]
    shares = [name for name in figures if name.endswith("_share")]
    earlier = pd.DataFrame(before, columns=["subject", *figures]).set_index("subject").astype(float)
    earlier = earlier[earlier[SIZES[suite]] >= COMPARABLE].reindex(frame["subject"])
    earlier = earlier.set_axis(frame.index)
    now = frame[figures].astype(float)
    changes = now / earlier.where(earlier != 0) - 1
    changes[shares] = now[shares] - earlier[shares]
    return frame.join(changes.add_suffix("_change"))


def as_profile(frames: Frames) -> Profile:
    """The frames as plain records, for a report."""
    return {
        name: cast(
            "list[dict[str, str | float | int | None]]",
            frame.astype(object).where(frame.notna(), None).to_dict("records"),
        )
        for name, frame in frames.items()
    }


def _frame(figures: pa.Table) -> pd.DataFrame:
    """Decimals and whole numbers alike as floats: Great Expectations compares nothing else."""
    frame: pd.DataFrame = figures.to_pandas()
    return frame.set_index("subject").astype(float).reset_index()
