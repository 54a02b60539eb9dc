"""The command line: every subcommand of `lvmtui`. Parses before anything heavy is imported."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from lvmtui.cli import (
    audit,
    bench,
    compare,
    equate,
    files,
    judge,
    look,
    models,
    phases,
    predict,
    scaling,
    steer,
)
from lvmtui.cli.session import DEFAULT_STORE, Session
from lvmtui.errors import LvmtuiError
from lvmtui.format import plain_lines

DEBUG = "LVMTUI_DEBUG"
"""Environment variable: when set, errors come with their traceback."""

INTERRUPTED = 130

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}

app = typer.Typer(
    name="lvmtui",
    help="Dashboard and run manager for training next-vector models. Without a command: the dashboard.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from lvmtui import __version__

        typer.echo(f"lvmtui {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    store: Annotated[
        str,
        typer.Option("--store", metavar="PATH", envvar="LVMTUI_STORE", help="The run store: path or URL."),
    ] = DEFAULT_STORE,
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Refuse everything that changes runs.")
    ] = False,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw the dashboard in ASCII only.")] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Session(store, readonly, ascii_only)
    if context.invoked_subcommand is None:
        raise typer.Exit(steer.dashboard(context.obj))


app.command()(steer.demo)
app.command()(steer.launch)
app.command()(look.ls)
app.command()(look.show)
app.command()(look.logs)
app.command()(look.plot)
app.command()(look.leaderboard)
app.command()(audit.audit)
app.command()(compare.compare)
app.command()(equate.equate)
app.command()(scaling.scaling)
app.command()(steer.stop)
app.command()(steer.resume)
app.command()(steer.kill)
app.command()(steer.promote)
app.command()(judge.evaluate)
app.command()(judge.baselines)
app.command()(bench.bench)
app.command()(predict.predict)
app.add_typer(files.export, name="export")
app.command(add_help_option=False, context_settings=_PASS_ON)(files.data)
app.command()(phases.phases)
app.command()(models.models)
app.command()(files.doctor)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows ? for a glyph
    try:
        code = app(args=arguments, prog_name="lvmtui", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except BrokenPipeError:
        # Whoever read the output (`| head`) has enough. Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        return _report(error)


def _report(error: Exception) -> int:
    """Tell the user what went wrong; a traceback only when asked for."""
    if os.environ.get(DEBUG):
        traceback.print_exc()
    message, hint, code = _explain(error)
    first, *more = plain_lines(message)
    lines = [f"error: {first}", *more, *([f"hint: {text}" for text in plain_lines(hint)] if hint else [])]
    sys.stderr.write("\n".join(lines) + "\n")
    return code


def _explain(error: Exception) -> tuple[str, str, int]:
    if isinstance(error, LvmtuiError):
        return error.message, error.hint, error.exit_code
    if hasattr(error, "format_message"):  # typer's own: a wrong option, a missing argument
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "lvmtui"
        return str(error.format_message()), f"`{command} --help` shows what it takes.", 2
    message = f"unexpected {type(error).__name__}: {error}"
    return message, f"This is a bug in lvmtui. {DEBUG}=1 shows the traceback.", 1
