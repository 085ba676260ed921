"""`python -m include.local demo|up|down`: what `make demo`, `make up` and `make down` run."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from include.errors import RegularsError
from include.local.demo import demo_preparations, demo_settings, run_demo
from include.local.environment import callers_connections
from include.local.rest import Airflow
from include.local.stack import Address, Stack, prepare, running, stop
from include.settings import Settings, load_settings
from include.terminal import make_console


def up(settings: Settings, console: Console) -> None:
    """Start the stack and leave it running: on the caller's sources, or without any on the demo's.

    The demo's invented contacts only ever go to the sandbox; the caller's orders go to the vendors
    whose AIRFLOW_CONN_* are set.
    """
    is_demo = not settings.sources.exists()
    if is_demo:
        console.print(f"There is no {settings.sources}: showing the demo's orders.")
        settings = demo_settings(settings)
    address = running(settings)
    if address is not None:
        console.print("Already running.")
    else:
        console.print("Starting; this takes about half a minute.")
        stack = (
            Stack(settings, demo_preparations(settings), stays=True)
            if is_demo
            else Stack(settings, real=callers_connections(), stays=True)
        )
        with stack, Airflow(stack.address.airflow) as airflow:
            prepare(airflow)
        address = stack.address
    _show(address, settings, console)


def down(settings: Settings, console: Console) -> None:
    """Stop what `up` started, if it runs."""
    stopped = [stop(each) for each in (settings, demo_settings(settings))]
    console.print("Stopped." if any(stopped) else "Nothing was running.")


def _show(address: Address, settings: Settings, console: Console) -> None:
    console.print(f"Airflow  {address.airflow}", highlight=False)
    console.print(f"Sandbox  {address.sandbox}", highlight=False)
    console.print(f"Logs     {settings.home.absolute() / 'logs'}", highlight=False)
    console.print("Trigger ingest_orders to begin; `make down` stops all.")


def main() -> int:
    """Read the command line; one clear line and exit code 1 on an error, 130 on Ctrl-C."""
    commands = {"demo": run_demo, "up": up, "down": down}
    parser = argparse.ArgumentParser(prog="include.local", description=__doc__)
    parser.add_argument("command", choices=sorted(commands))
    command = commands[parser.parse_args().command]
    try:
        command(load_settings(), make_console())
    except RegularsError as error:
        make_console(stderr=True).print(str(error), style="red", highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
