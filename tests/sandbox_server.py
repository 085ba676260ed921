"""A running sandbox for tests: a real server in its own process, spoken to over HTTP only."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import until

PROJECT = Path(__file__).parents[1]
STARTS = 3


@dataclass
class Sandbox:
    """A running sandbox: where it is, what it holds, and how to make it misbehave."""

    url: str
    http: httpx.Client

    @property
    def mailchimp_url(self) -> str:
        return f"{self.url}/mailchimp/3.0"

    @property
    def meta_url(self) -> str:
        """What the SDK's session calls GRAPH; the version follows."""
        return f"{self.url}/meta"

    @property
    def woocommerce_url(self) -> str:
        return f"{self.url}/woocommerce/wp-json/wc/v3"

    @property
    def google_url(self) -> str:
        """The Data Manager API; the version follows."""
        return f"{self.url}/google"

    @property
    def tiktok_url(self) -> str:
        """The Business API; `open_api` and the version follow."""
        return f"{self.url}/tiktok"

    @property
    def receiver_url(self) -> str:
        """The double of somebody's webhook receiver."""
        return f"{self.url}/receiver/calls"

    def truth(self, summary: bool = False) -> dict[str, Any]:
        """All the vendors hold; counts only with `summary`."""
        return self._get("/_truth", summary=summary)

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """The vendor calls after `since`: seq, at, method, path, status, bytes, ..."""
        return self._get("/_calls", since=since)

    def fault(self, **rule: Any) -> None:
        """Add one fault rule, for example `action="status", status=500, path="segments"`."""
        self.post("/_faults", rule)

    def clear_faults(self) -> None:
        """Calls that one of the rules holds go on."""
        self.http.delete("/_faults").raise_for_status()

    def wait_for_held(self, calls: int = 1) -> None:
        """Until rules hold so many calls, whose work is done and whose answers are kept back."""
        until(lambda: self._get("/_held")["calls"] == calls)

    def reset(self) -> None:
        """Back to one empty list and one empty ad account: no calls, no faults, no latency."""
        self.post("/_reset", {})

    def post(self, path: str, content: Any) -> Any:
        """Any other control route."""
        answer = self.http.post(path, json=content)
        answer.raise_for_status()
        return answer.json()

    def members(self, list_id: str = "regulars") -> dict[str, Any]:
        """The contacts of a Mailchimp list, by subscriber hash."""
        return self.truth()["mailchimp"]["lists"][list_id]["members"]

    def tagged(self, tag: str, list_id: str = "regulars") -> set[str]:
        """The subscriber hashes that carry a tag."""
        return {key for key, member in self.members(list_id).items() if tag in member["tags"]}

    def audience(self, name: str) -> dict[str, Any]:
        """The ad audience of this name; KeyError if there is none."""
        audiences = self.truth()["meta"]["audiences"].values()
        return {audience["name"]: audience for audience in audiences}[name]

    def _get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def start_sandbox(folder: Path, **options: Any) -> Iterator[Sandbox]:
    """Start a sandbox with its database in `folder`; options are those of its command line.

    For example `start_sandbox(tmp_path, latency_ms=20)`. A second start in the same folder finds
    what the first one held.
    """
    process, url = _started({"database": folder / "sandbox.sqlite"} | options)
    try:
        with httpx.Client(base_url=url, timeout=60) as http:
            yield Sandbox(url, http)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _started(options: dict[str, Any]) -> tuple[subprocess.Popen[bytes], str]:
    """A server that answers, and where; once more if its port was taken just before it began."""
    for _ in range(STARTS):
        told = {"port": free_port()} | options
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in told.items()]
        command = [sys.executable, "-m", "include.sandbox", *arguments]
        process = subprocess.Popen(command, cwd=PROJECT)
        url = f"http://127.0.0.1:{told['port']}"
        until(lambda process=process, url=url: process.poll() is not None or _answers(url))
        if process.poll() is None:
            return process, url
    raise RuntimeError("the sandbox did not start")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_health", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
