"""Subcommands that open the dashboard or start runs: demo, launch, resume."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lvmtui.cli.session import (
    HostOption,
    JsonOption,
    RunArgument,
    Session,
    StoreOption,
    changing,
    changing_at,
    find_one,
    find_run,
    line,
    names,
    note,
    on_terminal,
    reading,
    take_snapshot,
    view_of,
    write,
)
from lvmtui.errors import UsageError
from lvmtui.start import open_dashboard, require_screen

if TYPE_CHECKING:
    from lvmtui.store.records import Run

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--override", "-o", metavar="KEY=VALUE", help="Change a field of the recipe; may be repeated."
    ),
]
WaitOption = Annotated[
    bool,
    typer.Option("--wait", "-w", help="Print a line an epoch until the run ends; ctrl+c only stops waiting."),
]


def dashboard(session: Session, focus: int | None = None) -> int:
    """Open the dashboard on this terminal.

    Raises:
        UsageError: there is none, or none that can show it.
    """
    import sys

    # It is drawn on standard error: what is printed by others cannot spoil it.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "the dashboard needs a terminal for its input, output and errors",
            "`lvmtui ls` and `lvmtui once` work without one.",
        )
    return open_dashboard(
        session.store,
        hosts=session.watched,
        focus=focus,
        readonly=session.readonly,
        ascii=session.ascii_only,
    )


def demo(
    context: typer.Context,
    headless: Annotated[
        bool, typer.Option("--headless", help="No dashboard: lines, and the leaderboard at the end.")
    ] = False,
    overrides: Overrides = None,
    store: StoreOption = None,
) -> None:
    """Train the demo phase on built-in data, and watch it.

    Exit code with --headless: as of `launch --wait`.
    """
    session = changing(context, store, "demo")
    from lvmtui import launcher, requirements
    from lvmtui import recipe as recipes

    if not headless and not on_terminal():
        raise UsageError("the dashboard needs a terminal", "Pass --headless to train without one.")
    if not headless:
        require_screen()
    requirements.require_train()
    recipe = recipes.load("demo", recipes.parse_overrides(overrides or []))
    if recipe.data.path == "demo" and (code := launcher.run_engine(["data", "demo"])):
        raise typer.Exit(code)
    run = launcher.launch(session.store, "demo", overrides or [])
    if not headless:
        raise typer.Exit(dashboard(session, run.id))
    _say_started(run)
    from lvmtui.cli.look import print_leaderboard
    from lvmtui.cli.wait import INTERRUPTED, wait_for
    from lvmtui.leaderboard import ranking

    code = wait_for(session, run.id)
    if code != INTERRUPTED:
        snapshot = take_snapshot(session)
        line()
        print_leaderboard(ranking.leaderboard(snapshot.runs, snapshot.baselines, snapshot.protocols))
    raise typer.Exit(code)


def launch(
    context: typer.Context,
    phases: Annotated[
        list[str],
        typer.Argument(
            metavar="PHASE...",
            help="Names of phases, a range of them (phase-1..phase-3), or .toml files.",
            show_default=False,
        ),
    ],
    overrides: Overrides = None,
    seeds: Annotated[
        int, typer.Option("--seeds", "-s", min=1, help="Runs of each phase, from the recipe's seed on.")
    ] = 1,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Of several runs, how many at once.")] = 1,
    queue: Annotated[
        bool, typer.Option("--queue", "-q", help="Wait until the device is free, one run at a time.")
    ] = False,
    priority: Annotated[
        int, typer.Option("--priority", metavar="N", help="In the queue, higher goes first.")
    ] = 0,
    hold: Annotated[
        bool, typer.Option("--hold", help="Into the queue, until `lvmtui queue release`.")
    ] = False,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="RUN", help="Into the queue, until that run has completed."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps; else as the recipe says.")
    ] = "",
    queue_host: Annotated[
        str | None,
        typer.Option(
            "--queue-host", metavar="NAME", help="Who may take it from the queue; any: all. Else this."
        ),
    ] = None,
    wait: WaitOption = False,
    text: Annotated[str, typer.Option("--note", metavar="TEXT", help="Anything worth remembering.")] = "",
    hosts: HostOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Start a run of a phase in the background, or several runs as one group, at once or from the queue.

    The runs of a group share a tag. They run one after another, or --jobs at once: each that ends, however
    it ended, starts the next, whether or not a dashboard is open. If anything is wrong with one of them, none
    is made. What is queued starts when its device is free; `lvmtui queue` says what it waits for. With --host
    it starts there, with the phases of that machine; of a .toml file, the text is sent.

    Exit code with --wait: 0 when every run completed or stopped early, 1 when one failed, was lost or
    stopped.
    """
    if hosts == ["any"]:
        raise UsageError("--host names a machine to launch on", "Who may take a run: --queue-host any.")
    session = changing_at(context, store, hosts, "launch")
    # Whose place in the queue matters, or who is to take it from there, means the queue.
    queue = queue or priority != 0 or queue_host is not None
    queue_host = "" if queue_host == "any" else queue_host
    if session.machines is not None:
        from lvmtui.cli.steer_there import launch_there

        values: dict[str, object] = {"overrides": overrides, "note": text, "seeds": seeds, "jobs": jobs}
        values |= {"queue": queue, "priority": priority, "held": hold, "after": after}
        values |= {"device": device, "host": queue_host}
        launch_there(session, session.machines, phases, values, wait=wait, as_json=as_json)
    from lvmtui import launcher
    from lvmtui.recipe import expand

    start = launcher.Start(
        queue=queue,
        priority=priority,
        held=hold,
        after=None if after is None else find_run(session, after).id,
        device=device,
        host=queue_host,
    )
    if seeds == 1 and sum(len(expand(phase)) for phase in phases) == 1:
        run = launcher.launch(session.store, phases[0], overrides or [], note=text, start=start)
        _started(session, run, wait=wait, as_json=as_json)
    made = launcher.launch_group(
        session.store, phases, overrides or [], seeds=seeds, jobs=jobs, note=text, start=start
    )
    _started_group(session, made, wait=wait, as_json=as_json)


def resume(
    context: typer.Context,
    run: RunArgument,
    queue: Annotated[
        bool, typer.Option("--queue", "-q", help="Wait until the device is free, one run at a time.")
    ] = False,
    wait: WaitOption = False,
    hosts: HostOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Go on with a stopped, failed or lost run from its last checkpoint; or start one that waits, at once."""
    session, found = find_one(changing_at(context, store, hosts, "resume", run), run)
    if session.machines is not None:
        from lvmtui.cli.steer_there import resume_there

        resume_there(session, session.machines, found, queue=queue, wait=wait, as_json=as_json)
    from lvmtui import launcher

    resumed = launcher.resume(session.store, found.id, wait=queue)
    _started(session, resumed, wait=wait, as_json=as_json)


def _started(session: Session, run: Run, *, wait: bool, as_json: bool) -> NoReturn:
    from lvmtui.cli.wait import wait_for

    if not as_json:
        _say_started(run)
    _say_shared(session, [run])
    code = wait_for(session, run.id, note if as_json else line) if wait else 0
    if as_json:
        _write_runs(session, [run], single=True)
    raise typer.Exit(code)


def _started_group(session: Session, made: list[Run], *, wait: bool, as_json: bool) -> NoReturn:
    from lvmtui.cli.wait import wait_for_all

    if not as_json:
        started = [run for run in made if run.pid is not None]
        for run in started:
            _say_started(run)
        queued = [f"#{run.id}" for run in made if run.pid is None]
        if queued:
            waits = "wait" if len(queued) > 1 else "waits"
            line(f"{names(queued)} {waits}: each run that ends starts the next")
        line(f"{made[0].group}; `lvmtui stop --group {made[0].id}` ends all of it")
    _say_shared(session, made)
    code = wait_for_all(session, made, note if as_json else line) if wait else 0
    if as_json:
        _write_runs(session, made)
    raise typer.Exit(code)


def _write_runs(session: Session, made: list[Run], *, single: bool = False) -> None:
    from lvmtui.export.text import run_record, to_json

    snapshot = take_snapshot(session)
    records = [run_record(view_of(snapshot, run), snapshot.protocols) for run in made]
    write(to_json(records[0] if single else records))


def _say_shared(session: Session, made: list[Run]) -> None:
    """Say which device of those that were started is in use by others."""
    from lvmtui.waiting import sharing

    new = {run.id for run in made}
    with reading(session) as reader:
        others = [run for run in reader.runs() if run.id not in new]
    if found := sharing(made[0], others, time.time()):
        used = f"{names([other.name for other in found])} {'uses' if len(found) == 1 else 'use'}"
        note(f"{used} {made[0].device} as well; with --queue it would have waited.")


def _say_started(run: Run) -> None:
    size = _size(run)
    about = f", {size}" if size else ""
    if run.pid is None:
        line(f"{run.name} is in the queue{about}; `lvmtui queue` says what it waits for")
    else:
        line(f"{run.name} started in the background (pid {run.pid}){about}; `lvmtui stop {run.id}` ends it")


def _size(run: Run) -> str:
    """How many parameters it will have; empty where that cannot be told before its data are made."""
    from lvmtui import format as fmt
    from lvmtui import recipe as recipes
    from lvmtui.phases import parameters

    number = parameters(recipes.from_json(run.recipe))
    return "" if number is None else f"{run.model} of {fmt.count(number)} parameters"
