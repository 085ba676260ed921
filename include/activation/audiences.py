"""Read the audience declarations that stand beside their SQL in the dbt project.

An audience is one select in `dbt_project/models/audiences/` and one entry in `_audiences.yml`; the
entry's `config.meta.audience` is its whole configuration, checked here to the letter.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.destinations import known_destination
from include.errors import BadInput
from include.publishing import Snapshot
from include.settings import PROJECT

DECLARATIONS = PROJECT / "dbt_project/models/audiences/_audiences.yml"
REASONS = {"extra_forbidden": "unknown key", "tuple_type": "expected a list"}


class Strict(BaseModel):
    """A declaration that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(Strict):
    """Where an audience goes: the destination's name, and the fields its members carry there.

    Mode `mirror` keeps the destination equal to the audience: who leaves is removed.
    """

    to: str
    mode: Literal["mirror"] = "mirror"
    fields: tuple[str, ...] = ()


class Guard(Strict):
    """How much one plan may change, and what happens to one that would change more.

    Percentages are of what the destination holds now, and need somebody there: while nobody is (a
    first sync, a lost state), `max_first_sync` members may be added. A limit that is None (`null`)
    is none. A breach blocks, or waits `approval_hours` for a person; no answer means no.
    """

    max_removed_percent: float = Field(30, ge=0)
    max_added_percent: float = Field(200, ge=0)
    max_removed: int | None = Field(None, ge=0)
    max_added: int | None = Field(None, ge=0)
    max_first_sync: int | None = Field(10_000, ge=0)
    min_members: int = Field(1, ge=0)
    max_members: int | None = Field(None, ge=0)
    max_snapshot_age_days: float = Field(7, gt=0)
    on_breach: Literal["block", "approval"] = "approval"
    approval_hours: float = Field(12, gt=0, le=24 * 14)


class Offer(Strict):
    """What the members of an audience get: a single-use code each, issued when they enter.

    Either a percentage or an amount in a currency, good for so many days after the day of issue.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,49}$")
    percent: Decimal | None = Field(None, gt=0, le=100)
    amount: Decimal | None = Field(None, gt=0)
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    valid_days: int = Field(ge=1)
    minimum_spend: Decimal = Field(Decimal(0), ge=0)

    @model_validator(mode="after")
    def _worth_something(self) -> Offer:
        if (self.percent is None) == (self.amount is None):
            raise ValueError("an offer has either a percent or an amount")
        if (self.amount is None) != (self.currency is None):
            raise ValueError("an amount has a currency, and a percent has none")
        return self


class Audience(Strict):
    """One audience: who answers for it, who is held out, where it goes, how far it may move.

    Without `destinations` it is switched off: computed and shown, but sent nowhere. A `promotional`
    one sells something and counts against the frequency cap, a `service` one does not. Within an
    `exclusive_group` a customer belongs to the audience with the lowest `priority` only.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,49}$")
    description: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    kind: Literal["promotional", "service"] = "promotional"
    priority: int = Field(100, ge=0)
    exclusive_group: str | None = None
    holdout_percent: int = Field(0, ge=0, le=50)
    destinations: tuple[Target, ...] = ()
    guard: Guard = Guard()
    offer: Offer | None = None

    @property
    def is_switched_on(self) -> bool:
        """Whether it goes anywhere."""
        return bool(self.destinations)

    def target(self, destination: str) -> Target:
        """How the audience goes to one destination. Raises `BadInput` if it does not go there."""
        for target in self.destinations:
            if target.to == destination:
                return target
        if not self.is_switched_on:
            raise BadInput(f"audience {self.name} is switched off: it has no destinations")
        known = ", ".join(target.to for target in self.destinations)
        raise BadInput(f"audience {self.name} does not go to {destination}; it goes to: {known}")


def load_audiences(path: Path = DECLARATIONS) -> dict[str, Audience]:
    """All declared audiences by name, in the order of the file.

    Raises `BadInput` that names the file, the audience and the key when an entry does not fit.
    """
    audiences = [_audience(path, entry) for entry in _entries(path)]
    for name, count in Counter(audience.name for audience in audiences).items():
        if count > 1:
            raise BadInput(f"{path.name}: audience {name} is declared {count} times")
    return {audience.name: audience for audience in audiences}


def switched_on(path: Path = DECLARATIONS) -> list[str]:
    """The names of the audiences that go somewhere, in the order of the file."""
    return [name for name, audience in load_audiences(path).items() if audience.is_switched_on]


def get_audience(name: str, path: Path = DECLARATIONS) -> Audience:
    """One audience. Raises `BadInput` that lists the known ones if there is none of that name."""
    audiences = load_audiences(path)
    if name not in audiences:
        raise BadInput(f"unknown audience {name!r}; known are: {', '.join(sorted(audiences))}")
    return audiences[name]


def audience_sizes(snapshot: Snapshot, table: str = "audience_members") -> dict[str, int]:
    """How many rows a snapshot's table has of each audience, by name: its members, or `held_out`.

    Members are counted before consent, suppression and holdout.
    """
    with duckdb.connect() as connection:
        rows = connection.read_parquet(snapshot.path(table))
        return dict(rows.aggregate("audience, count(*)").order("audience").fetchall())


def _entries(path: Path) -> list[Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name}: not YAML: {error}") from error
    entries = content.get("models") or [] if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise BadInput(f"{path.name}: expected a list under the key 'models'")
    return entries


def _audience(path: Path, entry: Any) -> Audience:
    name = entry.get("name", "(without a name)") if isinstance(entry, dict) else entry
    where = f"{path.name}: audience {name}"
    try:
        told = {"name": name, "description": entry.get("description", "")}
        declared = entry["config"]["meta"]["audience"]
        twice = told.keys() & declared.keys()
    except (AttributeError, KeyError, TypeError):
        raise BadInput(f"{where} has no keys below config.meta.audience") from None
    if twice:
        raise BadInput(f"{where}, key {min(twice)}: it stands above config, not below")
    try:
        audience = Audience.model_validate(declared | told)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = REASONS.get(first["type"], first["msg"])
        raise BadInput(f"{where}, key {key}: {reason}") from error
    for to, count in Counter(target.to for target in audience.destinations).items():
        try:
            known_destination(to)
        except BadInput as error:
            raise BadInput(f"{where} names the {error}") from None
        if count > 1:
            raise BadInput(f"{where} names the destination {to} twice")
    return audience
