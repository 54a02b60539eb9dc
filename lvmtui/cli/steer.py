"""Subcommands that change runs: stop, kill, promote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lvmtui.cli.session import (
    HostOption,
    JsonOption,
    RunArgument,
    Session,
    StoreOption,
    YesOption,
    ask,
    changing_at,
    find_one,
    line,
    names,
    note,
    perform,
    ref,
    write,
)
from lvmtui.errors import CheckpointError

if TYPE_CHECKING:
    from lvmtui.gates import Gate
    from lvmtui.store.records import Promotion, Run


def stop(
    context: typer.Context,
    run: RunArgument,
    group: Annotated[
        bool, typer.Option("--group", help="And all runs that were launched together with it.")
    ] = False,
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """Ask a run to finish its batch, write a checkpoint and end.

    Of a group the next run starts then; with --group what waits leaves the queue as well.
    """
    session, found = find_one(changing_at(context, store, hosts, "stop", run), run)
    if session.machines is not None:
        from lvmtui.cli.steer_there import stop_there

        stop_there(session, found, group=group)
        return
    from lvmtui import launcher

    if group:
        for asked in launcher.stop_group(session.store, found.id):
            _say_stopped(asked)
    else:
        _say_stopped(launcher.stop(session.store, found.id))


def _say_stopped(asked: Run) -> None:
    from lvmtui.store.lifecycle import Status

    if asked.status is Status.DONE:
        line(f"{asked.name} is out of the queue")
    else:
        line(f"{asked.name} was asked to stop; `lvmtui resume {asked.id}` goes on later")


def kill(
    context: typer.Context,
    run: RunArgument,
    yes: YesOption = False,
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """End a run's process at once; what came after its last checkpoint is lost."""
    session, found = find_one(changing_at(context, store, hosts, "kill", run), run)
    ask(f"Kill {found.name} (process {found.pid}), losing what came after its last checkpoint", yes=yes)
    if session.machines is not None:
        line(f"{perform(session, found, 'kill')}; `lvmtui resume {ref(found)}` goes on")
        return
    from lvmtui import launcher

    killed = launcher.kill(session.store, found.id)
    line(f"{killed.name} is {killed.result or killed.status}; `lvmtui resume {killed.id}` goes on")


def promote(
    context: typer.Context,
    run: RunArgument,
    yes: YesOption = False,
    text: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why.")] = "",
    no_test: Annotated[
        bool, typer.Option("--no-test", help="Don't judge it on the test split, which promoting reads once.")
    ] = False,
    hosts: HostOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Make a run's best checkpoint the champion, and judge it on the test split.

    Shows what speaks for and against it and asks. A missing or damaged checkpoint cannot be promoted. What
    was judged on the test split before is not judged again. On another machine the judging goes on by itself.
    """
    session, found = find_one(changing_at(context, store, hosts, "promote", run), run)
    from lvmtui.store.runs import check_not_in_trash

    check_not_in_trash(found)
    if session.machines is not None:
        from lvmtui.cli.steer_there import gates_there, promote_there

        _pass_gates(found, gates_there(session.machines, found, test=not no_test), yes=yes)
        promote_there(session.machines, found, note=text, test=not no_test, as_json=as_json)
        return
    from lvmtui import promotion as promotions

    _pass_gates(found, promotions.promotion_gates(session.store, found.id, test=not no_test), yes=yes)
    promotion = promotions.promote(session.store, found.id, note=text, test=not no_test)
    if not as_json:
        line(f"{found.name} is now {promotion.alias}")
    test = None if no_test else _judge_on_test(session, promotion, as_json=as_json)
    if as_json:
        from dataclasses import asdict

        from lvmtui.export.text import to_json

        write(to_json(asdict(promotion) | {"test": test}))


def _pass_gates(run: Run, gates: tuple[Gate, ...], *, yes: bool) -> None:
    """Show what speaks for and against promoting a run, and ask.

    Raises:
        CheckpointError: it cannot be promoted.
    """
    for gate in gates:
        note(f"{gate.glyph} {gate.verdict:<6}  {gate.name}: {gate.words}")
    broken = [gate.words for gate in gates if gate.integrity and gate.passed is False]
    if broken:
        raise CheckpointError(f"{run.name} cannot be promoted: {'; '.join(broken)}")
    ask(_question(run, gates), yes=yes)


def _question(run: Run, gates: tuple[Gate, ...]) -> str:
    failed = [gate.name for gate in gates if gate.passed is False]
    although = f" although it fails {names(failed)}" if failed else ""
    return f"Promote {run.name} to champion{although}"


def _judge_on_test(session: Session, promotion: Promotion, *, as_json: bool) -> Any:
    """Have the engine judge what was promoted on the test split, and print what it says. Whatever comes of it
    the promotion stands.

    Returns:
        With `as_json` the result, in place of printing it; None where there is none.
    """
    from lvmtui import launcher
    from lvmtui.promotion import test_arguments

    arguments = test_arguments(session.store, promotion)
    if as_json:
        code, printed = launcher.ask_engine([*arguments, "--json"])
    else:
        code, printed = launcher.run_engine(arguments), ""
    if code:
        note("The promotion stands, but it was not judged on the test split.")
        return None
    return json.loads(printed) if as_json else None
