"""A running sandbox for tests: a real server in its own process, spoken to over HTTP only."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).parents[1]
START_SECONDS = 20


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
        self.http.delete("/_faults").raise_for_status()

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
    options = {"port": free_port(), "database": folder / "sandbox.sqlite"} | options
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen([sys.executable, "-m", "include.sandbox", *arguments], cwd=PROJECT)
    url = f"http://127.0.0.1:{options['port']}"
    try:
        with httpx.Client(base_url=url, timeout=60) as http:
            wait_until_ready(http, process)
            yield Sandbox(url, http)
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_until_ready(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if http.get("/_health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the sandbox did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
