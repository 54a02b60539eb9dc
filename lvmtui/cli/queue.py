"""`lvmtui queue`: what waits, in which order and for what, and changing that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import (
    JsonOption,
    RunArgument,
    Session,
    StoreOption,
    changing,
    find_run,
    line,
    names,
    note,
    reading,
    session_of,
    write,
)
from lvmtui.errors import UsageError

if TYPE_CHECKING:
    from lvmtui.launcher.queueing import Where
    from lvmtui.store.records import Run
    from lvmtui.store.slots import Turn

queue = typer.Typer(invoke_without_command=True)


@queue.callback()
def show(context: typer.Context, as_json: JsonOption = False, store: StoreOption = None) -> None:
    """List what waits, and for what; change its order. Each run that ends starts the next."""
    if context.invoked_subcommand is not None:
        return
    turns, runs = _turns(session_of(context, store))
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
    from lvmtui.waiting import words

    run = turn.run
    return {
        "position": position,
        "run_id": run.id,
        "run": run.name,
        "why": turn.why.value,
        "reason": words(turn),
        "waits_for": [other.id for other in turn.others],
        "device": turn.device or run.device_wanted or None,
        "host": run.host_wanted or None,
        "priority": run.priority,
        "held": run.held,
        "after": run.after,
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

    stuck = [str(turn.run.id) for turn in turns if turn.why in {Why.HELD, Why.BLOCKED}]
    if stuck:
        note(f"`lvmtui queue release {stuck[0]}` lets #{stuck[0]} go.")
    elsewhere = [turn.run.id for turn in turns if turn.why is Why.HOST]
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
    store: StoreOption = None,
) -> None:
    """Put a waiting run somewhere else; past runs of another priority it takes theirs."""
    session = changing(context, store, "queue move")
    from lvmtui.launcher import queueing

    ways: list[Where] = []
    for wanted, way in (
        (first, queueing.first),
        (last, queueing.last),
        (up, queueing.earlier),
        (down, queueing.later),
    ):
        ways += [way] if wanted else []
    if before is not None:
        ways.append(queueing.before(find_run(session, before)))
    if len(ways) != 1:
        raise UsageError(
            "where to is not clear", "Give one of --first, --last, --up, --down and --before RUN."
        )
    _say(session, queueing.move(session.store, find_run(session, run).id, ways[0]))


@queue.command("hold")
def hold(context: typer.Context, run: RunArgument, store: StoreOption = None) -> None:
    """Keep a waiting run back until it is let go."""
    session = changing(context, store, "queue hold")
    from lvmtui.launcher import queueing

    _say(session, queueing.hold(session.store, find_run(session, run).id))


@queue.command("release")
def release(context: typer.Context, run: RunArgument, store: StoreOption = None) -> None:
    """Let a run go that is held, or that waits for one which failed, was stopped or lost."""
    session = changing(context, store, "queue release")
    from lvmtui.launcher import queueing

    _say(session, queueing.release(session.store, find_run(session, run).id))


@queue.command("priority", context_settings={"ignore_unknown_options": True})
def priority(
    context: typer.Context,
    run: RunArgument,
    number: Annotated[
        int, typer.Argument(metavar="N", help="Higher goes first; 0 is usual, -1 after those.")
    ],
    store: StoreOption = None,
) -> None:
    """Give a waiting run another priority."""
    session = changing(context, store, "queue priority")
    from lvmtui.launcher import queueing

    _say(session, queueing.set_priority(session.store, find_run(session, run).id, number))


@queue.command("after")
def after(
    context: typer.Context,
    run: RunArgument,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="A run, or none.")],
    store: StoreOption = None,
) -> None:
    """Let a waiting run start only after another has completed or stopped early; or after none."""
    session = changing(context, store, "queue after")
    from lvmtui.launcher import queueing

    awaited = None if other.lower() == "none" else find_run(session, other).id
    _say(session, queueing.set_after(session.store, find_run(session, run).id, awaited))


@queue.command("start")
def start(context: typer.Context, store: StoreOption = None) -> None:
    """Start what may start on this host. Needed only where a run was killed and nothing noticed."""
    session = changing(context, store, "queue start")
    from lvmtui import launcher

    started = launcher.fill_slots(session.store)
    if started:
        line(f"{names([run.name for run in started])} started")
    else:
        note("Nothing waits that may start here; `lvmtui queue` says why.")


def _say(session: Session, run: Run) -> None:
    """Where a run stands now."""
    from lvmtui.store.slots import waits
    from lvmtui.waiting import words

    if not waits(run):
        line(f"{run.name} started in the background (pid {run.pid})")
        return
    turns, _ = _turns(session)
    for k, turn in enumerate(turns, start=1):
        if turn.run.id == run.id:
            line(f"{run.name} is {k} of {len(turns)} in the queue: {words(turn)}")
