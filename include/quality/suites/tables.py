"""Every published table keeps its promise of one row per key."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeBetween

EXPECTATIONS = [
    ExpectColumnValuesToBeBetween(
        column="duplicate_key_count",
        max_value=0,
        severity="critical",
        description="No key stands in a table twice.",
        notes="A join in the model repeats rows: mend it before publishing.",
    ),
    ExpectColumnValuesToBeBetween(
        column="missing_key_count",
        max_value=0,
        severity="critical",
        description="No row lacks its key.",
        notes="Look at the model's key columns and at the rows of the source behind them.",
    ),
    ExpectColumnValuesToBeBetween(
        column="row_count_change",
        min_value=-0.5,
        severity="info",
        description="No table loses half its rows.",
        notes="Compare with the previous snapshot; the figures of the shop tell whether it hurts.",
    ),
]
