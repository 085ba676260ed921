from __future__ import annotations

from pathlib import Path

from include.bench.measure import Case, Figures, Limit, measure, verdicts
from include.bench.orders import write_orders


def light(folder: Path) -> None:
    (folder / "light").touch()


def heavy(folder: Path) -> None:
    (folder / "heavy").write_bytes(b"x" * (200 * 1024 * 1024))
    sum(range(20_000_000))


def prepare(folder: Path) -> None:
    folder.mkdir(exist_ok=True)


CASE = Case(
    "weights",
    prepare,
    {"light": light, "heavy": heavy},
    (Limit("heavy", "cpu_seconds", 1, "light"), Limit("light", "peak_mib", 150)),
    runs=1,
)


def test_each_contender_is_measured_in_a_process_of_its_own(tmp_path):
    figures = measure(CASE, tmp_path)
    assert (tmp_path / "light").exists()
    assert figures["heavy"].cpu_seconds > figures["light"].cpu_seconds
    assert figures["heavy"].peak_mib > figures["light"].peak_mib + 150


def test_a_promise_is_a_ratio_of_two_contenders_or_a_figure_of_one():
    figures = {"light": Figures(1, 1, 100), "heavy": Figures(4, 2, 400)}
    assert [(value, kept) for _, value, kept in verdicts(CASE, figures)] == [
        (2, False),
        (100, True),
    ]


def test_synthetic_orders_are_the_same_each_time(tmp_path):
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        write_orders(tmp_path / name, 1000)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
