"""The few calls of Airflow's REST API that starting and following a run takes."""

from __future__ import annotations

import time
from datetime import datetime
from types import TracebackType
from typing import Any

import httpx

from include.errors import Stop

FINISHED = {"success", "failed"}
POOL_TRIES = 20
WAIT_SECONDS = 1.0


class Airflow:
    """An Airflow on loopback that asks nobody to sign in. Times are Airflow's, in UTC."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v2", timeout=60)

    def __enter__(self) -> Airflow:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def has_dag(self, dag: str) -> bool:
        """Whether the DAG has been read, so that it can be triggered or can listen to assets."""
        return self._client.get(f"/dags/{dag}").is_success

    def import_errors(self) -> list[str]:
        """The last line of each DAG file's error."""
        errors = self._get("/importErrors")["import_errors"]
        return [f"{e['filename']}: {e['stack_trace'].strip().splitlines()[-1]}" for e in errors]

    def set_pool(self, name: str, pool: dict[str, Any]) -> None:
        """Create a pool, or bring an existing one to these slots."""
        for _ in range(POOL_TRIES):
            answer = self._client.get(f"/pools/{name}")
            if answer.is_success and pool.items() <= answer.json().items():
                return
            if answer.status_code == httpx.codes.NOT_FOUND:
                answer = self._client.post("/pools", json={"name": name, **pool})
            elif answer.is_success:
                answer = self._client.patch(f"/pools/{name}", json={"name": name, **pool})
            if not answer.is_server_error:
                break
            # Airflow on SQLite fails while a process that has just begun writes much.
            time.sleep(WAIT_SECONDS)
        self._checked(answer)

    def trigger(self, dag: str) -> dict[str, Any]:
        """Start a run by hand; returns it."""
        answer = self._client.post(f"/dags/{dag}/dagRuns", json={"logical_date": None})
        run: dict[str, Any] = self._checked(answer)
        return run

    def runs(self, since: datetime) -> list[dict[str, Any]]:
        """The runs of all DAGs that became due at or after an instant, oldest first."""
        parameters = {"run_after_gte": since.isoformat(), "order_by": "run_after"}
        return self._list("/dags/~/dagRuns", "dag_runs", parameters)

    def tasks(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """The task instances of a run, as far as they exist yet."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        return self._list(path, "task_instances", {"order_by": "id"})

    def _list(self, path: str, key: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """All entries of a list, of which Airflow gives at most a hundred at a time."""
        entries: list[dict[str, Any]] = []
        while True:
            page = self._get(path, {**parameters, "offset": len(entries)})
            entries += page[key]
            if not page[key] or len(entries) >= page["total_entries"]:
                return entries

    def result(self, task: dict[str, Any]) -> Any:
        """What a finished task returned."""
        path = f"{self._path(task)}/xcomEntries/return_value"
        return self._get(path, {"map_index": task["map_index"], "deserialize": True})["value"]

    def log_tail(self, task: dict[str, Any], lines: int = 20) -> str:
        """The end of the log of a task's last try."""
        path = f"{self._path(task)}/logs/{task['try_number']}"
        content = self._get(path, {"map_index": task["map_index"]})["content"]
        events = [entry.get("event", "") for entry in content if isinstance(entry, dict)]
        errors = [
            f"{detail['exc_type']}: {detail['exc_value']}"
            for entry in content
            if isinstance(entry, dict)
            for detail in entry.get("error_detail") or []
        ]
        return "\n".join([*events, *errors][-lines:])

    def _path(self, task: dict[str, Any]) -> str:
        return (
            f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
        )

    def _get(self, path: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._checked(self._client.get(path, params=parameters))

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        if answer.is_error:
            raise Stop(f"Airflow answered {answer.status_code} to {answer.request.url.path}")
        return answer.json()
