"""`python -m include.bench [case ...]`: exit status 1 when a promise is missed."""

from __future__ import annotations

import sys

from rich.console import Console

from include.bench.run import run_benchmarks
from include.errors import RegularsError

if __name__ == "__main__":
    try:
        sys.exit(0 if run_benchmarks(sys.argv[1:], Console()) else 1)
    except RegularsError as error:
        sys.exit(f"error: {error}")
