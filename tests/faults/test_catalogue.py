"""Every known case is tried by a test that bears its number."""

from __future__ import annotations

import re
from pathlib import Path

CASES = range(1, 56)
NAMED = re.compile(r"^\s*def (test_case_(\d\d)_\w+)", re.MULTILINE)


def tried() -> set[int]:
    """The numbers of the cases that have a test in this folder."""
    files = Path(__file__).parent.glob("test_*.py")
    return {int(number) for file in files for _, number in NAMED.findall(file.read_text())}


def test_every_case_is_tried():
    assert tried() == set(CASES)
