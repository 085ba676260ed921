"""Regulars by hand: every step with the functions that the DAGs call, without Airflow.

`ingest`, `build`, `publish` and `sync`, in that order, do what the DAGs do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Any, NoReturn

import duckdb
import typer

from include import landing, publishing
from include.activation import approval
from include.activation import preview as previews
from include.activation import rejects as refused
from include.activation import sync as activation
from include.activation.audiences import Audience, audience_sizes, get_audience, load_audiences
from include.activation.reconcile import Way, reconcile
from include.activation.sync import PlanSummary
from include.commerce.journeys import trigger_journeys
from include.commerce.push import push_purchases
from include.connections import connection_id, read_connection
from include.dbt import BUILD, run_dbt, run_metricflow, target_path
from include.destinations import known_destination
from include.erasure import commands as erasing
from include.errors import BadInput, RegularsError
from include.lookalikes import make_lookalike
from include.offers.push import push_offers
from include.outcomes import ask_outcomes
from include.predictions.chart import backtest_chart, backtest_summary
from include.quality.gate import audience_gate, raw_gate
from include.quarantine import Quarantine
from include.settings import Settings, load_settings
from include.sources.base import Window
from include.sources.declarations import sources_with_rows
from include.store import Store, keep_private
from include.terminal import make_console, show_table

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False
)
audiences = typer.Typer(invoke_without_command=True)
app.add_typer(audiences, name="audiences")
console = make_console()
progress = make_console(stderr=True)

TAKE_OUT = (
    "A list that is switched off keeps its members: no sync changes them. To take them out: "
    "`regulars sync --audience NAME --destination NAME --empty`."
)
SWITCH_ON = (
    "An audience that is off is computed, and sent nowhere. To switch it on, name its destinations "
    "in dbt_project/models/audiences/_audiences.yml, such as "
    "`destinations: \\[{to: mailchimp, fields: \\[...]}]`; the next build and publish send it."
)

AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="The day to compute for; default REGULARS_AS_OF."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
OneAudience = Annotated[str | None, typer.Option(help="One audience; default all.")]
OneDestination = Annotated[str | None, typer.Option(help="One destination; default all.")]
Empty = Annotated[
    bool, typer.Option("--empty", help="Take everybody out of a list that is switched off.")
]


@app.command()
def ingest(
    source: Annotated[list[str] | None, typer.Option(help="One source; default all.")] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="Ask for past days again, from this."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="The last of these days."),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option(help="Make the warehouse anew from the landing files.")
    ] = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Land what is new at the sources and merge it into the raw tables."""
    settings = _settings(as_of)
    if rebuild:
        loaded = landing.rebuild(settings, _tell)
    else:
        loaded = landing.ingest(settings, source, _tell, window=_window(source, first, last))
    _show("Loaded", [asdict(load) for load in loaded], as_json)


@app.command()
def quarantine(
    replay: Annotated[
        str | None, typer.Option(help="Try a page again, by its name, or `all`.")
    ] = None,
    drop: Annotated[str | None, typer.Option(help="Forget a page, by its name.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the pages that could not be read; try them again, or forget one."""
    settings = load_settings()
    kept = Quarantine(Store(settings.store))
    if replay and drop:
        raise BadInput("--replay and --drop: one at a time")
    if replay:
        loaded = landing.replay(settings, None if replay == "all" else replay, _tell)
        _show("Loaded", [asdict(load) for load in loaded], as_json)
        if any(load.quarantined for load in loaded):
            raise typer.Exit(1)
        return
    for page in kept.find(drop) if drop else ():
        kept.remove(page)
    _show("Quarantine", [page.summary() for page in kept.pages()], as_json)


@app.command()
def build(as_of: AsOf = None) -> None:
    """Judge what has landed, build and test the models, judge what was built."""
    settings = _settings(as_of)
    report = raw_gate(settings, settings.day(), sources_with_rows(settings))
    progress.print(f"raw gate: {report.verdict} ({report.page_path})")
    run_dbt(settings, BUILD, settings.day())
    report = audience_gate(settings, settings.day(), list(load_audiences()))
    progress.print(f"audience gate: {report.verdict} ({report.page_path})")


@app.command()
def publish(
    as_of: AsOf = None,
    accept: Annotated[
        str | None, typer.Option(help="The id of a gate report whose warnings you accept.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish what was built, if the audience gate let it through."""
    settings = _settings(as_of)
    snapshot = publishing.publish(settings, settings.day(), accept)
    rows = [{"table": name, "rows": table.rows} for name, table in snapshot.tables.items()]
    _show(f"Snapshot {snapshot.snapshot_id}, as of {snapshot.as_of}", rows, as_json)


@app.command()
def plan(
    audience: OneAudience = None,
    destination: OneDestination = None,
    empty: Empty = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Show what a sync would send, and what its guard says, without sending anything.

    Of one audience at one destination also twenty changes, and how to approve them.
    """
    settings = _settings(as_of)
    summaries: list[PlanSummary] = []

    def planned(one: Audience, to: str) -> dict[str, Any]:
        credentials = read_connection(connection_id(to))
        summaries.append(activation.plan_audience(settings, one, to, credentials, empty=empty))
        return asdict(summaries[-1])

    rows, failures = _for_each(audience, destination, planned, _leaving(settings, empty))
    if audience and destination and summaries:
        changes = [asdict(one) for one in approval.examples(settings, summaries[0])]
        rows[0]["examples"] = changes
    if as_json or len(rows) != 1 or "examples" not in rows[0]:
        _show("Plans", rows, as_json)
    else:
        _show_plan(summaries[0], rows[0].pop("examples"))
    _exit_on(failures)


@app.command()
def sync(
    audience: OneAudience = None,
    destination: OneDestination = None,
    dry_run: Annotated[bool, typer.Option(help="Only plan.")] = False,
    approve: Annotated[
        str | None, typer.Option(help="The hash of a held-up plan that you have looked at.")
    ] = None,
    empty: Empty = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Bring destinations in line with the published audiences. A second run sends nothing.

    With --empty take everybody out of one list that its audience no longer goes to: without
    --approve it says how many that would be, and which hash lets it through.
    """
    settings = _settings(as_of)
    if approve and not (audience and destination):
        raise BadInput("--approve is for one plan: name its --audience and --destination")

    def synced(one: Audience, to: str) -> dict[str, Any]:
        credentials = read_connection(connection_id(to))
        done = activation.sync(settings, one, to, credentials, dry_run, approve, empty=empty)
        return asdict(done)

    rows, failures = _for_each(audience, destination, synced, _leaving(settings, empty))
    _show("Synced" if not dry_run else "Would sync", rows, as_json)
    _exit_on(failures)


@app.command("reconcile")
def reconcile_audiences(
    audience: OneAudience = None,
    destination: OneDestination = None,
    repair: Annotated[
        bool, typer.Option(help="Read the state from the destination, and plan what differs.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option(help="Make the state anew from our own plans and receipts.")
    ] = False,
    adds_only: Annotated[
        bool, typer.Option(help="Begin anew: add who is wanted, remove nobody.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what destinations really hold with what we believe; nothing is sent."""
    settings = load_settings()
    chosen: dict[Way, bool] = {"repair": repair, "adopt": adopt, "adds_only": adds_only}
    ways = [way for way, is_chosen in chosen.items() if is_chosen]
    if len(ways) > 1:
        raise BadInput("--repair, --adopt and --adds-only: one at a time")
    if {"adopt", "adds_only"} & {*ways} and not (audience and destination):
        raise BadInput("--adopt and --adds-only are for one: name its --audience and --destination")

    def compared(one: Audience, to: str) -> dict[str, Any]:
        credentials = read_connection(connection_id(to))
        found = reconcile(settings, one, to, credentials, ways[0] if ways else "compare")
        return found.row()

    rows, failures = _for_each(audience, destination, compared)
    _show("Destinations against our state", rows, as_json)
    _exit_on(failures)


@app.command("erase")
def erase_people(
    customer_id: erasing.CustomerIds = None,
    file: erasing.FromFile = None,
    request: erasing.RequestIds = None,
    as_json: AsJson = False,
) -> None:
    """Erase people everywhere, for good, with a certificate; default: all open requests."""
    rows = erasing.erase_people(load_settings(), customer_id, file, request)
    _show("Erased", rows, as_json)


@app.command("export-person")
def export_person(
    to: erasing.Target,
    customer_id: erasing.CustomerIds = None,
    file: erasing.FromFile = None,
    as_json: AsJson = False,
) -> None:
    """Write all data held on one person to a private file."""
    _show("Held", erasing.export(load_settings(), customer_id, file, to), as_json)


offers = typer.Typer(no_args_is_help=True, help="Codes of the audiences' offers, and of advocates.")
app.add_typer(offers, name="offers")


@offers.command("push")
def push(
    source: Annotated[str | None, typer.Option(help="One shop among the sources.")] = None,
    as_json: AsJson = False,
) -> None:
    """Push the codes that are still good to the shops. A second push sends nothing."""
    _show("Pushed", [asdict(one) for one in push_offers(load_settings(), source)], as_json)


@app.command()
def outcomes(as_json: AsJson = False) -> None:
    """Ask what became of the last week's batches where a destination works on them later."""
    _show("Outcomes", [asdict(standing) for standing in ask_outcomes(load_settings())], as_json)


@app.command()
def lookalike(
    audience: Annotated[str, typer.Option(help="The audience to be like.")],
    country: Annotated[str, typer.Option(help="ISO 3166 code, such as DE.")],
    percent: Annotated[int, typer.Option(help="Of the country's people, 1 to 20.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Have Meta make an audience of people who are like those of one of ours. Once is enough."""
    made = make_lookalike(load_settings(), audience, country, percent)
    _show("Lookalike", [asdict(made)], as_json)


purchases = typer.Typer(no_args_is_help=True, help="What Mailchimp's store is told.")
app.add_typer(purchases, name="purchases")


@purchases.command("push")
def push_to_mailchimp(as_json: AsJson = False) -> None:
    """Tell Mailchimp's store of purchases and codes. A second push tells nothing."""
    _show("Told", [asdict(told) for told in push_purchases(load_settings())], as_json)


journeys = typer.Typer(no_args_is_help=True, help="Mailchimp's customer journeys.")
app.add_typer(journeys, name="journeys")


@journeys.command("trigger")
def trigger(as_json: AsJson = False) -> None:
    """Send who has newly come into an audience into its journey, at most once."""
    _show("Sent", [asdict(done) for done in trigger_journeys(load_settings())], as_json)


@app.command()
def status(as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show where every audience stands at every destination."""
    standings = activation.status(_settings(as_of))
    _show("Audiences at their destinations", [asdict(one) for one in standings], as_json)
    if not as_json and any(one.switched_off and one.held for one in standings):
        console.print(TAKE_OUT, highlight=False)


@app.command()
def rejects(
    audience: OneAudience = None,
    destination: OneDestination = None,
    as_json: AsJson = False,
) -> None:
    """List the members that a destination would not take or let go, why, and what comes next."""
    found = refused.rejects(load_settings(), audience, destination)
    if not found:
        _check_names(audience, destination)
    _show("Refused", [asdict(one) for one in found], as_json)


@audiences.callback()
def list_audiences(context: typer.Context, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """List the declared audiences, on and off, and how many members each has by the snapshot.

    Also: `preview NAME` for one of them in depth, `overlap` for what they have in common.
    """
    if context.invoked_subcommand:
        return
    snapshot = publishing.current(Store(_settings(as_of).store))
    sizes = audience_sizes(snapshot) if snapshot else {}
    declared = load_audiences().values()
    rows = [
        {
            "audience": audience.name,
            "state": "on" if audience.is_switched_on else "off",
            "kind": audience.kind,
            "members": sizes.get(audience.name, 0) if snapshot else None,
            "held_out_percent": audience.holdout_percent,
            "destinations": " ".join(target.to for target in audience.destinations),
            "owner": audience.owner,
        }
        | ({"description": audience.description.strip()} if as_json else {})
        for audience in declared
    ]
    _show("Audiences", rows, as_json)
    if not as_json and not all(audience.is_switched_on for audience in declared):
        console.print(SWITCH_ON, highlight=False)


@audiences.command("preview")
def preview_audience(name: str, as_json: AsJson = False) -> None:
    """Show one audience: its size, who is kept out and why, and what the next sync would do."""
    audience = get_audience(name)
    shown = previews.preview(load_settings(), audience)
    if as_json:
        sys.stdout.write(json.dumps(asdict(shown), default=str) + "\n")
        return
    state = "on" if shown.is_switched_on else "off"
    console.print(f"[bold]{shown.audience}[/bold] ({state}): {shown.description}", highlight=False)
    console.print(
        f"{shown.members} members as of {shown.as_of}; {shown.kind}, owner {shown.owner}, "
        f"priority {shown.priority}, {shown.holdout_percent} % held out",
        highlight=False,
    )
    for title, rows in (
        ("Who is spoken to" if shown.is_switched_on else "Who would be spoken to", shown.decisions),
        ("What the next sync would do", shown.destinations),
        ("Why they are in", shown.reasons),
        ("What their columns hold, and who is sent them", shown.fields),
        ("Whom it shares with others", shown.overlaps),
    ):
        if rows:
            _show(title, [asdict(row) for row in rows], as_json=False)
    if not shown.is_switched_on:
        console.print(SWITCH_ON, highlight=False)


@audiences.command("overlap")
def audience_overlap(as_json: AsJson = False) -> None:
    """List every two audiences that share members, the most alike first."""
    rows = [asdict(overlap) for overlap in previews.overlaps(load_settings())]
    _show("Members in common", rows, as_json)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def dbt(context: typer.Context) -> None:
    """Run any dbt command with the project's profile and variables, such as `dbt test`."""
    settings = load_settings()
    run_dbt(settings, context.args, settings.day())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def mf(context: typer.Context) -> None:
    """Run any MetricFlow command, such as `mf query --saved-query kpis_of_country`."""
    run_metricflow(load_settings(), context.args)


@app.command()
def docs() -> None:
    """Write one page that describes every model, its columns, its tests and what it is made of."""
    settings = load_settings()
    run_dbt(settings, ["--quiet", "docs", "generate", "--static"], settings.day())
    _tell(str(target_path(settings) / "static_index.html"))


@app.command()
def predictions(as_json: AsJson = False) -> None:
    """Show what each purchase model said of the hold-out window, and draw it as a chart."""
    settings = load_settings()
    snapshot = publishing.newest(Store(settings.store))
    rows = backtest_summary(snapshot.path("prediction_backtest"))
    _show(f"Back-test, as of {snapshot.as_of}", rows, as_json)
    target = settings.home / "predictions.svg"
    target.write_text(
        backtest_chart(
            snapshot.path("prediction_backtest"), snapshot.path("prediction_calibration")
        )
    )
    progress.print(f"chart: {target}", markup=False, highlight=False)


@app.command()
def sandbox() -> None:
    """Serve the sandbox, with its page, on loopback until stopped."""
    settings = load_settings()
    database = settings.home.absolute() / "sandbox.sqlite"
    options = ["--port", str(settings.sandbox_port), "--database", str(database)]
    progress.print(f"http://127.0.0.1:{settings.sandbox_port}/")
    _become("include.sandbox", *options)


@app.command()
def local(what: Annotated[str, typer.Argument(help="demo, up or down")]) -> None:
    """Run the demo, or start and stop Airflow and the sandbox on this machine."""
    _become("include.local", what)


@app.command()
def bench(
    cases: Annotated[list[str] | None, typer.Argument(help="Some cases; default all.")] = None,
) -> None:
    """Run the side-by-side benchmarks."""
    _become("include.bench", *(cases or ()))


def main() -> None:
    """The command `regulars`: an error of ours or of the machine is one line, and exit status 1."""
    keep_private()
    try:
        app()
    except (RegularsError, OSError, duckdb.IOException) as error:
        if isinstance(error, OSError) and error.errno is None:
            # Not the machine's: a client's, whose text may quote an address.
            raise
        progress.print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)


def _settings(as_of: datetime | None) -> Settings:
    return load_settings(as_of=as_of.date()) if as_of else load_settings()


def _window(
    sources: list[str] | None, first: datetime | None, last: datetime | None
) -> Window | None:
    if first is None and last is None:
        return None
    if not (sources and first and last):
        raise BadInput("--from and --to go together, and need a --source")
    if last < first:
        raise BadInput("--to lies before --from")
    return Window(first.date(), last.date())


def _tell(message: str) -> None:
    """Progress as it is: brackets in a file's name are no markup."""
    progress.print(message, markup=False, highlight=False)


def _become(module: str, *arguments: str) -> NoReturn:
    """Become a part that need not be loaded for every other command.

    The same process goes on as that part, so that whoever stops `regulars` stops the part.
    """
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def _for_each(
    audience: str | None,
    destination: str | None,
    step: Callable[[Audience, str], dict[str, Any]],
    leaving: Callable[[str, str], Audience] | None = None,
) -> tuple[list[dict[str, Any]], list[RegularsError]]:
    """Take the step for every audience and destination asked for; one that fails stops no other.

    leaving: finds the audience, if it is one that no longer goes to the destination.
    """
    rows: list[dict[str, Any]] = []
    failures: list[RegularsError] = []
    if leaving:
        if not (audience and destination):
            raise BadInput("--empty is for one list: name its --audience and --destination")
        chosen = [leaving(audience, destination)]
    else:
        _check_names(audience, destination)
        chosen = [get_audience(audience)] if audience else list(load_audiences().values())
    if audience and not chosen[0].is_switched_on:
        raise BadInput(f"audience {audience} is switched off: it has no destinations")
    for one in chosen:
        targets = [one.target(destination)] if destination and audience else one.destinations
        for target in targets:
            if destination in (None, target.to):
                progress.print(f"{one.name} to {target.to} ...", highlight=False)
                try:
                    rows.append(step(one, target.to))
                except RegularsError as error:
                    failures.append(error)
    return rows, failures


def _check_names(audience: str | None, destination: str | None) -> None:
    """Raise `BadInput` that lists the known names, if one of these is none."""
    if audience:
        get_audience(audience)
    if destination:
        known_destination(destination)


def _leaving(settings: Settings, empty: bool) -> Callable[[str, str], Audience] | None:
    return partial(activation.leaving, settings) if empty else None


def _exit_on(failures: Sequence[RegularsError]) -> None:
    for failure in failures:
        progress.print(f"error: {failure}", style="red", markup=False, highlight=False)
    if failures:
        raise typer.Exit(1)


def _show(title: str, rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """One table for a person, or one JSON list for a machine."""
    if as_json:
        sys.stdout.write(json.dumps(rows, default=str) + "\n")
        return
    show_table(console, title, rows)


def _show_plan(summary: PlanSummary, changes: Sequence[dict[str, Any]]) -> None:
    """One plan in depth, for a person who may have to decide about it."""
    facts = [{"of the plan": name, "": value} for name, value in asdict(summary).items()]
    _show(f"{summary.audience} to {summary.destination}", facts, as_json=False)
    if changes:
        _show("Some of its changes, by hashes of the customers' ids", changes, as_json=False)
    for reason in summary.reasons:
        console.print(f"held up: {reason}", markup=False, highlight=False)
    if summary.decision == "approval" and not (summary.approved or summary.resumed):
        way_out = activation.way_to_approve(summary)
        console.print(f"to send exactly this plan: {way_out}", markup=False, highlight=False)
