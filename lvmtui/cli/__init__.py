"""The command line: every subcommand of `lvmtui`. Parses before anything heavy is imported."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import Annotated

import typer

from lvmtui.cli import (
    alerts,
    audit,
    bench,
    compare,
    equate,
    files,
    hosts,
    judge,
    keys,
    look,
    models,
    once,
    phases,
    predict,
    queue,
    scaling,
    serve,
    shelf,
    starting,
    steer,
    transfer,
)
from lvmtui.cli.invocation import begin, now
from lvmtui.cli.session import Session, line, note, watching
from lvmtui.errors import LvmtuiError, UsageError
from lvmtui.format import plain_lines
from lvmtui.store.location import DEFAULT_STORE, STORE_VARIABLE

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
        typer.Option("--store", metavar="PATH", envvar=STORE_VARIABLE, help="The run store: path or URL."),
    ] = DEFAULT_STORE,
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Refuse everything that changes runs.")
    ] = False,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw the dashboard in ASCII only.")] = False,
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="Watch this machine too, over SSH: gpu1, me@gpu1 or gpu1:PATH/runs.db; all: those of the "
            "settings. May be repeated. Before a command: it works there.",
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Watch no host, whatever the settings say.")] = False,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="For screen readers: no dashboard, but the runs and changes as lines."),
    ] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Session(store, readonly, ascii_only)
    context.obj = watching(context, None, hosts, local=local)
    if context.invoked_subcommand is None and plain:
        raise typer.Exit(_plain(context.obj))
    if context.invoked_subcommand is None:
        raise typer.Exit(starting.dashboard(context.obj))
    if plain:
        raise UsageError("--plain stands in place of the dashboard", "Leave out --plain or the command.")


def _plain(session: Session) -> int:
    """Print what there is and what changes until ctrl+c, which is how this mode ends."""
    from lvmtui.config import Config, load_config
    from lvmtui.plain_mode import follow
    from lvmtui.remote.hosts import parse_hosts, watched
    from lvmtui.remote.ssh import ssh_words

    try:
        config = load_config()
    except UsageError as error:
        for text in (*plain_lines(str(error)), "The defaults are used."):
            note(text)
        config = Config()
    names = session.watched
    hosts = watched(config.hosts) if names is None else parse_hosts(names, config.hosts)
    with contextlib.suppress(KeyboardInterrupt):
        follow(session.store, line, hosts=hosts, ssh=ssh_words(config) if hosts else ())
    return 0


app.command()(once.once)
app.command()(serve.serve)
app.command(hidden=True)(serve.served)
app.command()(starting.demo)
app.command()(starting.launch)
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
app.command()(starting.resume)
app.command()(steer.kill)
app.add_typer(queue.queue, name="queue")
app.add_typer(alerts.alerts, name="alerts")
app.command()(steer.promote)
app.command()(shelf.pin)
app.command()(shelf.unpin)
app.command()(shelf.archive)
app.command()(shelf.unarchive)
app.command()(shelf.rm)
app.command()(shelf.restore)
app.add_typer(shelf.trash, name="trash")
app.command("note")(shelf.annotate)
app.command(context_settings={"ignore_unknown_options": True})(shelf.tag)
app.command()(judge.evaluate)
app.command()(judge.baselines)
app.command()(bench.bench)
app.command()(predict.predict)
app.add_typer(files.export, name="export")
app.command(add_help_option=False, context_settings=_PASS_ON)(files.data)
app.command()(phases.phases)
app.command()(models.models)
app.command()(keys.keys)
app.command()(transfer.pull)
app.command()(transfer.push)
app.add_typer(hosts.hosts, name="hosts")
app.command()(files.doctor)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows ? for a glyph
    call = begin()
    try:
        words = once.as_subcommand(sys.argv[1:] if arguments is None else arguments)
        code = app(args=words, prog_name="lvmtui", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0) or int(call.is_partial)
    except BrokenPipeError:
        # Whoever read the output (`| head`) has enough. Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        return report(error)


def report(error: Exception) -> int:
    """Tell the user what went wrong, with a traceback only when asked for, and return the exit code."""
    if os.environ.get(DEBUG):
        traceback.print_exc()
    message, hint, code = _explain(error)
    message, hint = map(now().pasteable, (message, hint))
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
    import sqlite3

    if isinstance(error, sqlite3.DatabaseError):
        return f"cannot read the run store: {error}", "Check the disk, and who else uses the file.", 1
    message = f"unexpected {type(error).__name__}: {error}"
    return message, f"This is a bug in lvmtui. {DEBUG}=1 shows the traceback.", 1
