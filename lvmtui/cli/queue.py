"""`lvmtui queue`: what waits, in which order and for what, and changing that."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import (
    HostOption,
    HostsOption,
    JsonOption,
    RunArgument,
    Session,
    StoreOption,
    changing_at,
    find_run,
    line,
    names,
    note,
    perform,
    reading,
    ref,
    session_at,
    write,
)
from lvmtui.errors import UsageError

if TYPE_CHECKING:
    from lvmtui.store.records import Run
    from lvmtui.store.slots import Turn

queue = typer.Typer(invoke_without_command=True)


@queue.callback()
def show(
    context: typer.Context, hosts: HostsOption = None, as_json: JsonOption = False, store: StoreOption = None
) -> None:
    """List what waits, and for what; change its order. Each run that ends starts the next."""
    if context.invoked_subcommand is not None:
        root = context.find_root()
        root.obj = replace(root.obj, store=store or root.obj.store, named=tuple(hosts or root.obj.named))
        return
    turns, runs = _turns(session_at(context, store, hosts))
    if as_json:
        from lvmtui.export.text import to_json

        write(to_json([_record(k, turn) for k, turn in enumerate(turns, start=1)]))
        return
    if not turns:
        note("Nothing waits. `lvmtui launch PHASE --queue` puts a run into the queue.")
        return
    _print(turns)
    _say_what_helps(turns, runs)


def _turns(session: Session) -> tuple[list[Turn], list[Run]]:
    from lvmtui.waiting import queue_turns

    with reading(session) as reader:
        runs = reader.runs()
    return queue_turns(runs, time.time()), runs


def _record(position: int, turn: Turn) -> dict[str, object]:
    from lvmtui.remote.hosts import number_of
    from lvmtui.waiting import words

    run = turn.run
    return {
        "position": position,
        "run_id": run.number,
        "run": run.name,
        "origin": run.origin or None,
        "why": turn.why.value,
        "reason": words(turn),
        "waits_for": [other.number for other in turn.others],
        "device": turn.device or run.device_wanted or None,
        "host": run.host_wanted or None,
        "priority": run.priority,
        "held": run.held,
        "after": None if run.after is None else number_of(run.after),
        "group": run.group,
        "created": run.created,
    }


def _print(turns: list[Turn]) -> None:
    from lvmtui.cli.tables import Column, print_table
    from lvmtui.store.records import GROUP_PREFIX
    from lvmtui.waiting import words

    columns = [
        Column("#", "right"),
        Column("run"),
        Column("priority" if any(turn.run.priority for turn in turns) else "", "right", drop=3),
        Column("device", drop=2),
        Column("waits", shrinks=True),
        Column("group" if any(turn.run.group for turn in turns) else "", drop=4),
    ]
    rows = [
        (
            str(k),
            turn.run.name,
            str(turn.run.priority) if turn.run.priority else "",
            turn.run.device_wanted or "any",
            words(turn),
            (turn.run.group or "").removeprefix(GROUP_PREFIX),
        )
        for k, turn in enumerate(turns, start=1)
    ]
    print_table(columns, rows)


def _say_what_helps(turns: list[Turn], runs: list[Run]) -> None:
    from lvmtui.store.slots import Why
    from lvmtui.waiting import stalled, stalled_words

    stuck = [ref(turn.run) for turn in turns if turn.why in {Why.HELD, Why.BLOCKED}]
    if stuck:
        note(f"`lvmtui queue release {stuck[0]}` lets #{stuck[0]} go.")
    elsewhere = [ref(turn.run) for turn in turns if turn.why is Why.HOST and not turn.run.origin]
    if elsewhere:
        note(f"`lvmtui resume {elsewhere[0]}` starts #{elsewhere[0]} here.")
    for run in stalled(runs, time.time())[:1]:
        note(stalled_words(run))


@queue.command("move")
def move(
    context: typer.Context,
    run: RunArgument,
    first: Annotated[bool, typer.Option("--first", help="To the front.")] = False,
    last: Annotated[bool, typer.Option("--last", help="To the end.")] = False,
    before: Annotated[
        str | None, typer.Option("--before", metavar="RUN", help="Just before another that waits.")
    ] = None,
    up: Annotated[bool, typer.Option("--up", help="One place towards the front.")] = False,
    down: Annotated[bool, typer.Option("--down", help="One place towards the end.")] = False,
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """Put a waiting run somewhere else; past runs of another priority it takes theirs."""
    flags = {"first": first, "last": last, "earlier": up, "later": down, "before": before is not None}
    ways = [way for way, wanted in flags.items() if wanted]
    if len(ways) != 1:
        raise UsageError(
            "where to is not clear", "Give one of --first, --last, --up, --down and --before RUN."
        )
    session = changing_at(context, store, hosts, "queue move", run, *filter(None, [before]))
    found = find_run(session, run)
    if before is None:
        line(perform(session, found, "move", where=ways[0]))
    else:
        other = _beside(session, found, before)
        line(perform(session, found, "move", where=ways[0], other=other.number))


def _beside(session: Session, run: Run, text: str) -> Run:
    """Another run of the same queue.

    Raises:
        UsageError: it is on another machine.
    """
    other = find_run(session, f"{text}@{run.origin}" if run.origin and "@" not in text else text)
    if other.origin != run.origin:
        raise UsageError(f"{run.name} and {other.name} are on different machines", "Each has its own queue.")
    return other


@queue.command("hold")
def hold(
    context: typer.Context, run: RunArgument, hosts: HostOption = None, store: StoreOption = None
) -> None:
    """Keep a waiting run back until it is let go."""
    session = changing_at(context, store, hosts, "queue hold", run)
    line(perform(session, find_run(session, run), "hold"))


@queue.command("release")
def release(
    context: typer.Context, run: RunArgument, hosts: HostOption = None, store: StoreOption = None
) -> None:
    """Let a run go that is held, or that waits for one which failed, was stopped or lost."""
    session = changing_at(context, store, hosts, "queue release", run)
    line(perform(session, find_run(session, run), "release"))


@queue.command("priority", context_settings={"ignore_unknown_options": True})
def priority(
    context: typer.Context,
    run: RunArgument,
    number: Annotated[
        int, typer.Argument(metavar="N", help="Higher goes first; 0 is usual, -1 after those.")
    ],
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """Give a waiting run another priority."""
    from lvmtui.store.slots import check_priority

    check_priority(number)
    session = changing_at(context, store, hosts, "queue priority", run)
    line(perform(session, find_run(session, run), "priority", priority=number))


@queue.command("after")
def after(
    context: typer.Context,
    run: RunArgument,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="A run, or none.")],
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """Let a waiting run start only after another has completed or stopped early; or after none."""
    session = changing_at(context, store, hosts, "queue after", run)
    found = find_run(session, run)
    awaited = None if other.lower() == "none" else _beside(session, found, other).number
    line(perform(session, found, "after", other=awaited))


@queue.command("start")
def start(context: typer.Context, hosts: HostOption = None, store: StoreOption = None) -> None:
    """Start what may start on this host. Needed only where a run was killed and nothing noticed."""
    session = changing_at(context, store, hosts, "queue start")
    if session.machines is not None:
        line(session.machines.ask("fill", {}, "start what waits").words)
        return
    from lvmtui import launcher

    started = launcher.fill_slots(session.store)
    if started:
        line(f"{names([run.name for run in started])} started")
    else:
        note("Nothing waits that may start here; `lvmtui queue` says why.")
