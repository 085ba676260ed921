"""Time contenders side by side, each in a process of its own, in turn, and keep the best run.

A contender is a function `(folder) -> None` over prepared files, or a `partial` of one with plain
keywords. Seconds are taken around the call: importing a library is not counted. Memory is the peak
of the process, imports included. A contender that is to be judged by a part of its work, or by a
program that it starts, returns the figures of that instead.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

Contender = Callable[[Path], "Figures | None"]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one contender took: seconds of the clock, seconds of CPU, peak memory in MiB.

    calls: those it made to a destination, where they are counted.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """A promise: one contender's figure is at most `times` another's, or at most `times` itself.

    With `against` empty the figure is compared with the number itself (MiB of memory, say).
    """

    contender: str
    figure: str
    times: float
    against: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One table of the benchmark: how its input is made, who runs on it, what is promised.

    The contenders run in this order. notes: what is worth telling of the folder afterwards.
    """

    name: str
    prepare: Contender
    contenders: Mapping[str, Contender]
    limits: tuple[Limit, ...] = ()
    runs: int = 3
    notes: Callable[[Path], Iterator[str]] | None = None


def measure(case: Case, folder: Path) -> dict[str, Figures]:
    """Prepare the case, then run every contender `case.runs` times, in turn; keep the best."""
    in_own_process(case.prepare, folder)
    # What it wrote is not to be brought to the disk on a contender's time.
    os.sync()
    taken: dict[str, list[Figures]] = {name: [] for name in case.contenders}
    for _ in range(case.runs):
        for name, contender in case.contenders.items():
            taken[name].append(in_own_process(contender, folder))
    return {
        name: Figures(
            min(run.wall_seconds for run in runs),
            min(run.cpu_seconds for run in runs),
            max(run.peak_mib for run in runs),
            max(run.calls for run in runs),
        )
        for name, runs in taken.items()
    }


def verdicts(case: Case, figures: Mapping[str, Figures]) -> Iterator[tuple[Limit, float, bool]]:
    """Each promise with the ratio (or figure) that was measured, and whether it is kept."""
    for limit in case.limits:
        value = float(getattr(figures[limit.contender], limit.figure))
        if limit.against:
            value /= float(getattr(figures[limit.against], limit.figure))
        yield limit, value, value <= limit.times


def in_own_process(contender: Contender, folder: Path) -> Figures:
    """Call a function of a module by its name in a new interpreter, and measure the call."""
    function, options = contender, {}
    if isinstance(contender, partial):
        function, options = contender.func, contender.keywords
    place = f"{function.__module__}:{function.__qualname__}"
    command = [sys.executable, "-m", __name__, place, str(folder), json.dumps(options)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Figures(**json.loads(finished.stdout.splitlines()[-1]))


def timed(work: Callable[[], object]) -> Figures:
    """What a call in this process takes."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    work()
    return Figures(
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=_cpu_seconds() - cpu,
        peak_mib=_peak_mib(),
    )


def _cpu_seconds() -> float:
    """This process's own: a server that a contender starts is not the contender's work."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime + mine.ru_stime


def _peak_mib() -> float:
    """Linux's high-water mark of this program; `ru_maxrss` would remember what started it."""
    status = Path("/proc/self/status").read_text()
    return next(
        int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")
    )


def _main(place: str, folder: str, options: str) -> None:
    module, _, name = place.partition(":")
    contender = partial(getattr(import_module(module), name), Path(folder), **json.loads(options))
    told: list[Figures | None] = []
    around = timed(lambda: told.append(contender()))
    sys.stdout.write(json.dumps(asdict(told[0] or around)) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
