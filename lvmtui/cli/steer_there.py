"""Launching, resuming, stopping and promoting runs of another machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from lvmtui.cli.session import Session, find_run, line, look_at, note, ref, take_snapshot, view_of, write
from lvmtui.errors import RecipeError, RemoteError, UsageError
from lvmtui.gates import Gate

if TYPE_CHECKING:
    from lvmtui.cli.machines import Machines
    from lvmtui.store.records import Run

RECIPE_ENDING = ".toml"


def launch_there(
    session: Session,
    machines: Machines,
    phases: Sequence[str],
    values: Mapping[str, Any],
    *,
    wait: bool,
    as_json: bool,
) -> NoReturn:
    """Start runs on the host that is meant, as `launch`.

    Args:
        session: its store counts for nothing.
        machines: one host.
        phases: names of phases there, or one file of this machine.
        values: the other arguments of the operation `launch`; `overrides` and `after` as the user wrote them.
        wait: print what they do until they end.
        as_json: print their records.
    """
    from lvmtui import recipe as recipes

    arguments = {key: value for key, value in values.items() if value is not None}
    arguments["overrides"] = recipes.parse_overrides(values["overrides"] or [])
    if values["after"] is not None:
        arguments["after"] = find_run(session, values["after"]).number
    arguments |= _what_to_launch(phases)
    answer = machines.ask("launch", arguments, f"launch {' '.join(phases)}")
    made = machines.await_runs(_numbers(answer.data.get("runs")))
    if not as_json:
        line(f"{answer.words}; `lvmtui stop {ref(made[0])}` ends it" if len(made) == 1 else answer.words)
        if len(made) > 1:
            line(f"{made[0].group}; `lvmtui stop --group {ref(made[0])}` ends all of it")
    _go_on(session, made, wait=wait, as_json=as_json)


def _what_to_launch(phases: Sequence[str]) -> dict[str, Any]:
    """Names of phases; or the text of a file, which the other machine does not have.

    Raises:
        UsageError: files together with something else.
        RecipeError: the file cannot be read.
    """
    if not any(phase.endswith(RECIPE_ENDING) for phase in phases):
        return {"phases": list(phases)}
    if len(phases) > 1:
        raise UsageError("a recipe's file is sent to another machine alone", "Launch one after the other.")
    path = Path(phases[0])
    try:
        return {"recipe": path.read_text(encoding="utf-8"), "name": path.stem}
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error


def resume_there(
    session: Session, machines: Machines, run: Run, *, queue: bool, wait: bool, as_json: bool
) -> NoReturn:
    """Go on with a run, as `resume`."""
    answer = machines.ask("resume", {"run": run.number, "wait": queue}, f"resume {run.name}", run)
    resumed = machines.await_runs([run.number], after=run.revision)
    if not as_json:
        line(f"{answer.words}; `lvmtui stop {ref(run)}` ends it")
    _go_on(session, resumed, wait=wait, as_json=as_json)


def _go_on(session: Session, made: Sequence[Run], *, wait: bool, as_json: bool) -> NoReturn:
    """Wait for the runs and print them, where that is wanted."""
    from lvmtui.cli.wait import wait_for_all
    from lvmtui.export.text import run_record, to_json

    code = 0
    if wait:
        look_at(session, *made)
        code = wait_for_all(session, made, note if as_json else line)
    if as_json:
        snapshot = take_snapshot(session)
        records = [run_record(view_of(snapshot, run), snapshot.protocols) for run in made]
        write(to_json(records[0] if len(records) == 1 else records))
    raise typer.Exit(code)


def stop_there(session: Session, run: Run, *, group: bool) -> None:
    """Ask a run, or a group, to stop."""
    from lvmtui.cli.session import perform
    from lvmtui.store.slots import waits

    words = perform(session, run, "stop-group" if group else "stop")
    line(words if waits(run) or group else f"{words}; `lvmtui resume {ref(run)}` goes on later")


def gates_there(machines: Machines, run: Run, *, test: bool) -> tuple[Gate, ...]:
    """What speaks for and against promoting a run.

    Raises:
        RemoteError: the answer makes no sense.
    """
    asked = {"run": run.number, "test": test}
    found = machines.ask("gates", asked, f"check {run.name}", run).data.get("gates")
    if not isinstance(found, list) or not found:
        raise RemoteError(f"{machines.host.name} does not say what speaks for and against {run.name}")
    return tuple(map(_gate, found))


def _gate(value: object) -> Gate:
    """A gate as another machine tells it, which may tell anything: what is not clear counts as failed."""
    told = value if isinstance(value, dict) else {}
    passed = told.get("passed", False)
    return Gate(
        name=str(told.get("name", "?")),
        passed=passed if passed is None or isinstance(passed, bool) else False,
        words=str(told.get("words", "")),
        integrity=told.get("integrity") is True,
    )


def promote_there(machines: Machines, run: Run, *, note: str, test: bool, as_json: bool) -> None:
    """Make a run the champion there."""
    asked = {"run": run.number, "note": note, "test": test}
    answer = machines.ask("promote", asked, f"promote {run.name}", run)
    if not as_json:
        line(answer.words)
        return
    from lvmtui.export.text import to_json

    record = {"host": run.origin, "run_id": run.number, "run": run.name, "words": answer.words}
    write(to_json(record | {key: answer.data.get(key) for key in ("promotion", "checkpoint")}))


def _numbers(value: object) -> list[int]:
    """Numbers of runs in an answer.

    Raises:
        RemoteError: there are none.
    """
    found = [item for item in value if type(item) is int] if isinstance(value, list) else []
    if not found:
        raise RemoteError("the host does not say which runs it has made", "`lvmtui ls --host` shows them.")
    return found
