"""Subcommands around runs: export, data, doctor."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.hosts import examine, print_check
from lvmtui.cli.look import EquateOption, groups_of
from lvmtui.cli.picking import AllOption, ArchivedOption, LongFilterOption, RegexOption, pick
from lvmtui.cli.session import (
    JsonOption,
    StoreOption,
    find_run,
    note,
    reading,
    session_of,
    take_snapshot,
    view_of,
    write,
)

if TYPE_CHECKING:
    from lvmtui.export.text import Format


class Kind(StrEnum):
    """What `--format` takes."""

    CSV = "csv"
    JSON = "json"
    MD = "md"


FormatOption = Annotated[Kind, typer.Option("--format", "-f", help="csv, json or md.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-O", metavar="FILE", help="Write to a file; else it is printed.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")]

export = typer.Typer(help="Write the leaderboard or a run as CSV, JSON or Markdown.", no_args_is_help=True)


@export.command("leaderboard")
def export_leaderboard(
    context: typer.Context,
    kind: FormatOption = Kind.CSV,
    output: OutputOption = None,
    force: ForceOption = False,
    text: LongFilterOption = "",
    regex: RegexOption = False,
    equate: EquateOption = None,
    archived: ArchivedOption = False,
    everything: AllOption = False,
    store: StoreOption = None,
) -> None:
    """Every evaluated run and baseline, protocol by protocol, or all on a common pool."""
    from lvmtui.export.text import leaderboard_text

    session = session_of(context, store)
    snapshot = take_snapshot(session)
    views = pick(snapshot.runs, text, regex=regex, archived=archived, everything=everything)
    groups = groups_of(session, snapshot, views, equate)
    _deliver(leaderboard_text(groups, snapshot.protocols, _format(kind)), output, force=force)


@export.command("run")
def export_run(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run: 17, 'phase-3 #17' or last.", show_default=False)
    ],
    kind: FormatOption = Kind.CSV,
    output: OutputOption = None,
    force: ForceOption = False,
    store: StoreOption = None,
) -> None:
    """One run: recipe, metrics, evaluations, latencies, events."""
    from lvmtui.export.text import run_text

    session = session_of(context, store)
    found = find_run(session, run)
    snapshot = take_snapshot(session)
    with reading(session) as reader:
        text = run_text(
            view_of(snapshot, found),
            snapshot.protocols,
            _format(kind),
            evaluations=reader.evaluations(found.id),
            metrics=reader.metrics(found.id),
            events=reader.events(run_id=found.id),
            checkpoints=reader.checkpoints(found.id),
            latencies=reader.latencies(run_id=found.id),
            looks=snapshot.test_looks.get(found.data_fingerprint or "", 0),
        )
    _deliver(text, output, force=force)


def _format(kind: Kind) -> Format:
    formats: dict[Kind, Format] = {Kind.CSV: "csv", Kind.JSON: "json", Kind.MD: "md"}
    return formats[kind]


def _deliver(text: str, output: Path | None, *, force: bool) -> None:
    if output is None:
        write(text)
        return
    from lvmtui.export.text import write as write_file

    write_file(output, text, force=force)
    note(f"wrote {output}")


def data(context: typer.Context) -> None:
    """Build, merge and inspect vector sets; see `lvmtui data --help`."""
    from lvmtui import launcher

    raise typer.Exit(launcher.run_engine(["data", *context.args]))


def doctor(
    context: typer.Context,
    as_json: JsonOption = False,
    store: StoreOption = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="Check the way to this machine instead: name, port, key, python, lvmtui, store, clock.",
        ),
    ] = None,
) -> None:
    """Check this installation, the store and the terminal. Exit code 1 when something needed is broken."""
    named = (*context.find_root().obj.named, *(host or ()))
    if named:
        examine(named, as_json=as_json)
        return
    from lvmtui import doctor as checks

    found = checks.examine(session_of(context, store).store)
    if as_json:
        from dataclasses import asdict

        from lvmtui.export.text import to_json

        write(to_json([asdict(check) for check in found]))
    else:
        for check in found:
            print_check(check)
    if any(check.needed and check.passed is False for check in found):
        raise typer.Exit(1)
