"""Great Expectations, kept in one place: judge frames of figures by the suites of the same names.

Importing this takes seconds; `include/quality/gate.py` does so only when a gate is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from include.quality.report import Outcome

# Counts only: a default result carries the values it found.
WITHOUT_VALUES = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
# How many subjects a report names with their figures.
NAMED = 6


def evaluate(frames: Mapping[str, pd.DataFrame]) -> list[Outcome]:
    """Judge each frame by its suite, one outcome per expectation; a frame without rows has none."""
    config = DataContextConfig(
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        store_backend_defaults=InMemoryStoreBackendDefaults(),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    profiles = context.data_sources.add_pandas("profiles")
    outcomes = []
    for suite, frame in frames.items():
        batches = profiles.add_dataframe_asset(suite).add_batch_definition_whole_dataframe("whole")
        expectations = import_module(f"include.quality.suites.{suite}").EXPECTATIONS
        unmet = _unmet(batches, expectations, frame)
        for expectation in expectations if len(frame) else ():
            is_met = expectation.description not in unmet
            # Which subjects fail, the counts do not tell: those that fail alone.
            failing = [
                index
                for index in frame.index
                if not is_met and _unmet(batches, [expectation], frame.loc[[index]])
            ]
            outcomes.append(
                Outcome(
                    suite=suite,
                    expectation=expectation.description,
                    figure=expectation.column,
                    limit=_limit(expectation),
                    observed=_observed(frame if is_met else frame.loc[failing], expectation.column),
                    severity=expectation.severity,
                    is_met=is_met,
                    advice=expectation.notes,
                )
            )
    return outcomes


def _unmet(batches: Any, expectations: list[Any], rows: pd.DataFrame) -> set[str]:
    """The descriptions of the expectations that do not hold for all of these rows."""
    batch = batches.get_batch(batch_parameters={"dataframe": rows})
    suite = gx.ExpectationSuite(name="suite", expectations=expectations)
    results = batch.validate(suite, result_format=WITHOUT_VALUES).results
    return {result.expectation_config.description for result in results if not result.success}


def _limit(expectation: Any) -> str:
    """The bounds in words: `at least 1`, `above -1`, `between -0.2 and 0.5`."""
    lowest, highest = expectation.min_value, expectation.max_value
    if lowest is None:
        return f"at most {highest:g}"
    if highest is None:
        return f"{'above' if expectation.strict_min else 'at least'} {lowest:g}"
    return f"between {lowest:g} and {highest:g}"


def _observed(frame: pd.DataFrame, column: str) -> str:
    """Each subject with its figure, as `shop: 0`; of many, the smallest and the largest."""
    figures = frame.set_index("subject")[column].dropna().sort_values()
    if len(figures) > NAMED:
        figures = pd.concat([figures.head(NAMED // 2), figures.tail(NAMED // 2)])
    named = (f"{subject}: {_number(figure)}" for subject, figure in figures.items())
    return ", ".join(named) or "nothing to compare with"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if float(figure).is_integer() else f"{figure:,.4g}"
