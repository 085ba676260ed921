"""What a gate found: kept in the store as JSON for machines and as one page for people.

A report lies in `quality/<gate>/<report id>.json` (and `.html`); a person's acceptance of it, where
its verdict asks for one, in `<report id>.accepted.json` beside it. Reports hold counts and shares
only.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict

from include.errors import BadInput
from include.store import Store

KEPT_REPORTS = 100
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

Gate = Literal["raw", "audience"]
Severity = Literal["critical", "warning", "info"]
Verdict = Literal["pass", "warn", "approve", "block"]
Profile = dict[str, list[dict[str, str | float | int | None]]]

VERDICTS: dict[Severity, Verdict] = {"critical": "block", "warning": "approve", "info": "warn"}


class Outcome(BaseModel):
    """One expectation and what was observed; `observed` names the subjects that fail it."""

    model_config = ConfigDict(frozen=True)

    suite: str
    expectation: str
    figure: str
    limit: str
    observed: str
    severity: Severity
    is_met: bool
    advice: str

    def __str__(self) -> str:
        return f"{self.expectation} (expected {self.figure} {self.limit}, found {self.observed})"


class GateReport(BaseModel):
    """One run of one gate.

    `build` is the fingerprint of what was judged (`include/quality/builds.py`); `profile` the
    figures it was judged by, by suite; `previous_snapshot_id` the snapshot that changes are
    measured against.
    """

    model_config = ConfigDict(frozen=True)

    report_id: str
    gate: Gate
    as_of: date
    created_at: datetime
    build: str
    previous_snapshot_id: str | None
    outcomes: tuple[Outcome, ...]
    profile: Profile

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The expectations that are not met, the gravest first."""
        ranks = list(VERDICTS)
        unmet = (outcome for outcome in self.outcomes if not outcome.is_met)
        return tuple(sorted(unmet, key=lambda outcome: ranks.index(outcome.severity)))

    @property
    def verdict(self) -> Verdict:
        """What the gravest failure asks for: block, a person's approval, a warning; else pass."""
        return VERDICTS[self.failures[0].severity] if self.failures else "pass"

    @property
    def report_path(self) -> str:
        """Where the report lies in the store."""
        return _path(self.gate, self.report_id)

    @property
    def page_path(self) -> str:
        """Where its page for people lies in the store."""
        return self.report_path.removesuffix("json") + "html"

    def page(self) -> str:
        """The report as one self-contained HTML page."""
        return TEMPLATES.get_template("report.html").render(report=self)

    def is_accepted(self, store: Store) -> bool:
        """Whether what this report is about may be published."""
        accepted = self.verdict == "approve" and store.exists(
            _acceptance(self.gate, self.report_id)
        )
        return accepted or self.verdict in ("pass", "warn")


def save(store: Store, report: GateReport) -> None:
    """Put the report and its page into the store; only the newest `KEPT_REPORTS` of a gate stay."""
    store.write(report.page_path, report.page().encode())
    store.write(report.report_path, report.model_dump_json(indent=1).encode())
    for report_id in report_ids(store, report.gate)[KEPT_REPORTS:]:
        for path in (_path(report.gate, report_id), _acceptance(report.gate, report_id)):
            store.remove(path)
        store.remove(_path(report.gate, report_id).removesuffix("json") + "html")


def load(store: Store, gate: Gate, report_id: str) -> GateReport:
    """One report. Raises `BadInput` if there is none of that id."""
    if report_id not in report_ids(store, gate):
        raise BadInput(f"there is no report {report_id} of the {gate} gate")
    return GateReport.model_validate_json(store.read(_path(gate, report_id)))


def history(store: Store, gate: Gate) -> Iterator[GateReport]:
    """A gate's reports, newest first."""
    for report_id in report_ids(store, gate):
        yield load(store, gate, report_id)


def accept(store: Store, report: GateReport) -> None:
    """Record that a person accepts what this report warns of.

    Raises `BadInput` when it blocks: what is critical is mended, not accepted.
    """
    if report.verdict == "block":
        raise BadInput(
            f"report {report.report_id} blocks; mend what it names, then run the gate again"
        )
    if report.verdict == "approve":
        acceptance = Acceptance(report_id=report.report_id, accepted_at=datetime.now(UTC))
        store.write(
            _acceptance(report.gate, report.report_id), acceptance.model_dump_json().encode()
        )


def explain(report: GateReport) -> str:
    """One paragraph: what is not met, by what figure, and where the report lies."""
    failures = " ".join(f"[{failure.severity}] {failure}." for failure in report.failures)
    return f"the {report.gate} gate holds this back: {failures} Report: {report.page_path}"


def report_ids(store: Store, gate: Gate) -> list[str]:
    """The ids of a gate's reports, newest first."""
    names = store.list(f"quality/{gate}")
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted((stem for stem in stems if not stem.endswith(".accepted")), reverse=True)


class Acceptance(BaseModel):
    """A person's word that a report's warnings are no reason to hold its build back."""

    report_id: str
    accepted_at: datetime


def _path(gate: Gate, report_id: str) -> str:
    return f"quality/{gate}/{report_id}.json"


def _acceptance(gate: Gate, report_id: str) -> str:
    return f"quality/{gate}/{report_id}.accepted.json"
