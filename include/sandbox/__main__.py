"""Start the sandbox: `python -m include.sandbox --port 8765 --database sandbox.sqlite`."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

import uvicorn

from include.sandbox.faults import Wire
from include.sandbox.server import create_app


def main() -> None:
    """Serve on loopback until stopped."""
    parser = argparse.ArgumentParser(prog="python -m include.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file, made if absent")
    parser.add_argument("--latency-ms", type=float, default=0, help="what a vendor call takes")
    options = parser.parse_args()
    options.database.parent.mkdir(parents=True, exist_ok=True)
    app = create_app(options.database, options.latency_ms)
    # What is there by now stays; to look through it for garbage takes longer than to read a batch.
    gc.freeze()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        http=Wire,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
