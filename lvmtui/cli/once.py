"""The subcommand that prints one frame of the dashboard: once."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import (
    Session,
    StoreOption,
    find_run,
    note,
    reading,
    session_at,
    watching,
    write,
)
from lvmtui.errors import UsageError

if TYPE_CHECKING:
    from rich.color import ColorSystem

FLAG = "--once"

DEFAULT_SIZE = (120, 36)


def once(
    context: typer.Context,
    screen: Annotated[
        str,
        typer.Argument(
            metavar="[SCREEN]", help="dashboard, run, leaderboard, compare, devices, events, hosts or help."
        ),
    ] = "dashboard",
    run: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="RUN", help="Look at this run; several: mark them, for compare."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="COLSxLINES", help="As 120x36; else the terminal's.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write a picture; nothing is printed.")
    ] = None,
    theme: Annotated[str | None, typer.Option("--theme", metavar="NAME", help="Draw in this theme.")] = None,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw in ASCII only.")] = False,
    press: Annotated[
        list[str] | None,
        typer.Option("--press", metavar="KEY", help="Press a key first; as often as wanted."),
    ] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="HOST", help="Watch this machine too, over SSH; may be repeated."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Watch no host.")] = False,
    store: StoreOption = None,
) -> None:
    """Print one frame of the dashboard and exit: for cron, CI and pictures. Needs no terminal.

    Exit code 1 when the store or a host cannot be read.
    """
    from lvmtui.once import SCREENS, take

    session = watching(context, store, hosts, local=local)
    if screen not in SCREENS:
        raise UsageError(f"there is no screen {screen!r}", f"There are {', '.join(SCREENS)}.")
    wanted = _size(size)
    from lvmtui.keymap import is_key

    for key in press or ():
        if not is_key(key):
            raise UsageError(
                f"--press {key}: there is no such key", "Keys are named as n, question_mark, enter, ctrl+p."
            )
    runs = [_run_id(context, session, text) for text in run or ()]
    from lvmtui.app import make_app

    app = make_app(
        session.store,
        hosts=session.watched,
        readonly=True,
        focus=runs[0] if runs else None,
        ascii=ascii_only or session.ascii_only,
        theme=theme,
    )
    if not app.hosts:
        with reading(session):
            pass  # says at once, and in the words of the other commands, that there is none
    if theme is not None and app.theme != theme:
        raise UsageError(f"there is no theme {theme!r}", f"There are {', '.join(app.own_themes)}.")
    app.writes_state = app.tells_alerts = False
    if len(runs) > 1:
        app.marked = tuple(dict.fromkeys(runs))
    frame = take(app, screen, size=wanted, keys=press or (), colours=_colours())
    if svg is not None:
        _save(svg, frame.svg)
        note(f"wrote {svg}")
    else:
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        write("\n".join(frame.coloured if coloured else frame.lines) + "\n")
    if frame.problem:
        note(f"error: {frame.problem}")
        raise typer.Exit(1)


def _run_id(context: typer.Context, session: Session, text: str) -> int:
    """Id of a run on any of the machines that are watched."""
    if "@" not in text:
        return find_run(session, text).id
    found = session_at(context, session.store, session.named, text)
    try:
        return find_run(found, text).id
    finally:
        if found.machines is not None:
            found.machines.close()  # the dashboard connects anew


def _size(text: str | None) -> tuple[int, int]:
    """`120x36` as columns and lines; without a text the terminal's.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        try:
            found = os.get_terminal_size(sys.stdout.fileno())
        except (OSError, ValueError):
            return DEFAULT_SIZE
        # The shell's next prompt needs a line too.
        return (found.columns, found.lines - 1) if found.columns and found.lines > 1 else DEFAULT_SIZE
    fits = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    columns, lines = (int(fits[1]), int(fits[2])) if fits else (0, 0)
    if not (1 <= columns <= 1000 and 1 <= lines <= 1000):
        raise UsageError(f"--size {text!r} is no size", "For example: --size 120x36; at most 1000x1000.")
    return columns, lines


def _colours() -> ColorSystem | None:
    """The colours of the terminal that is printed on."""
    from rich.color import ColorSystem
    from rich.console import Console

    names = {
        "standard": ColorSystem.STANDARD,
        "256": ColorSystem.EIGHT_BIT,
        "truecolor": ColorSystem.TRUECOLOR,
    }
    return names.get(Console().color_system or "")


def _save(path: Path, text: str) -> None:
    from lvmtui.paths import write_atomically

    try:
        write_atomically(path, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def as_subcommand(arguments: list[str]) -> list[str]:
    """`lvmtui --once [SCREEN]` as `lvmtui once [SCREEN]`: an option cannot take a value or none."""
    place = arguments.index(FLAG) if FLAG in arguments else -1
    before = arguments[:place] if place >= 0 else []
    values = sum(word in {"--store", "--host"} for word in before)
    plain = [word for word in before if not word.startswith("-")]
    if place < 0 or len(plain) != values:
        return arguments
    return [*before, "once", *arguments[place + 1 :]]
