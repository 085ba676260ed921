"""Airflow's callbacks as alerts: people hear when a part of a DAG breaks, and when it works again.

Every final failure and every success of a task comes here; `include.alerts` tells the changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow.sdk import BaseNotifier

from include.errors import Reauthorise, RegularsError, Retry, Stop

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.alerts import Alerts, Channel, Trouble

WAYS_OUT: tuple[tuple[type[BaseException], str], ...] = (
    (Reauthorise, "put a valid secret into the connection, then clear the task"),
    (Retry, "look whether the other side is up; the next run goes on from where this one stands"),
    (Stop, "what the message says, then clear the task"),
)


class TellFailure(BaseNotifier):
    """Tells a task's last failure, if its part of the DAG was well until now."""

    def notify(self, context: Context) -> None:
        """Called by Airflow when a task has failed for good."""
        _alerts().trouble(failure(context))


class TellRecovery(BaseNotifier):
    """Tells the success of a task, if nothing else of its part of the DAG is in trouble."""

    def notify(self, context: Context) -> None:
        """Called by Airflow when a task has succeeded."""
        task = context["task"]
        tell_recovery(context, step=task.task_id if task.downstream_task_ids else None)


def failure(context: Context) -> Trouble:
    """A failed task in words: our own errors' text, of any other one its kind alone."""
    error = context.get("exception")
    what = str(error) if isinstance(error, RegularsError) else type(error).__name__
    if not isinstance(error, BaseException):
        what = "the task was killed, or lost its machine"
    way_out = next((way for kind, way in WAYS_OUT if isinstance(error, kind)), "see the task's log")
    return trouble(context, "failing", what, way_out, getattr(context["ti"], "log_url", None))


def trouble(
    context: Context,
    kind: Literal["failing", "held_up"],
    what: str,
    what_to_do: str,
    link: str | None,
) -> Trouble:
    """What is wrong with the task's part of its DAG, and how many members wait."""
    from include.alerts import Trouble

    parts = subject(context)
    step = context["ti"].task_id
    return Trouble(parts, step, kind, what, what_to_do, _waiting(context), link)


def tell_trouble(found: Trouble) -> None:
    """Tell it, if it is new."""
    _alerts().trouble(found)


def tell_recovery(context: Context, step: str | None = None) -> None:
    """Tell that the task's part of its DAG is well, or this step of it; if it was not."""
    _alerts().recovery(subject(context), step)


def subject(context: Context) -> tuple[str, ...]:
    """The part of a DAG that a task belongs to, from the DAG downwards.

    A sync's is an audience at a destination; else a task group, or a task, or one of its mapped
    instances.
    """
    instance = context["ti"]
    group = instance.task_id.partition(".")[0]
    audience = _audience(context)
    mapped = None
    if instance.map_index >= 0:
        mapped = getattr(instance, "rendered_map_index", None) or str(instance.map_index)
    return tuple(part for part in (instance.dag_id, audience, group, mapped) if part)


def _audience(context: Context) -> str | None:
    run = context.get("dag_run")
    named = (context.get("params") or {}).get("audience")
    return getattr(run, "partition_key", None) or named


def _waiting(context: Context) -> int | None:
    """Members whose change is planned and not acknowledged; None where there is no audience."""
    from include.activation.audiences import load_audiences
    from include.activation.sync import members_waiting
    from include.settings import load_settings

    audience = _audience(context)
    destination = context["ti"].task_id.partition(".")[0]
    if audience not in load_audiences():
        return None
    return members_waiting(load_settings(), audience, destination)


def _alerts() -> Alerts:
    from include.alerts import Alerts
    from include.settings import load_settings
    from include.store import Store

    return Alerts(Store(load_settings().store), _channel)


def _channel() -> Channel | None:
    """Where alerts go: by the connection, if there is one."""
    from include.alerts import CONNECTION, open_channel
    from regulars_airflow.hooks import find_credentials

    credentials = find_credentials(CONNECTION)
    return open_channel(credentials) if credentials else None
