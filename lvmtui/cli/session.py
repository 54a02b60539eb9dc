"""What all subcommands share: the options, the open store, output and questions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.invocation import now
from lvmtui.errors import UsageError
from lvmtui.format import plain

if TYPE_CHECKING:
    from lvmtui.cli.machines import Machines
    from lvmtui.snapshot import RunView, Snapshot
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Run

StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="PATH", help="The run store; see `lvmtui --help`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
RUN_HELP = "17, '#17', 'phase-3 #17' or last; 17@gpu1 on the host gpu1."
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help=f"A run: {RUN_HELP}", show_default=False)]
HostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="HOST",
        help="On this machine, over SSH, in place of here: gpu1, gpu1:PATH/runs.db or me@gpu1.",
    ),
]
HostsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="HOST",
        help="On this machine, over SSH, in place of here; may be repeated. all: here and on those of the "
        "settings.",
    ),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="With --host: what was last heard of it, without connecting.")
]


@dataclass(frozen=True, slots=True)
class Session:
    """What was said before the subcommand, and on which machines it is to work."""

    store: str
    readonly: bool = False
    ascii_only: bool = False
    named: tuple[str, ...] = ()
    """Hosts, as `--host` names them."""
    local: bool = False
    """Leave out the hosts that the settings have the dashboard watch."""
    machines: Machines | None = None
    """Where the runs are that the subcommand is about; None: in the store alone."""

    @property
    def watched(self) -> tuple[str, ...] | None:
        """The hosts that a dashboard is told to watch, as they were named; None: those of the settings."""
        return () if self.local else self.named or None

    def changes(self, what: str) -> None:
        """Refuse what changes runs where that was ruled out.

        Raises:
            UsageError: `--readonly` was given.
        """
        if self.readonly:
            raise UsageError(f"{what} changes runs, and --readonly is set", "Leave --readonly out.")


def session_of(context: typer.Context, store: str | None = None) -> Session:
    """The session of a subcommand that works on this machine alone, with its own `--store` on top.

    Raises:
        UsageError: hosts were named.
    """
    session: Session = context.find_root().obj
    if session.named:
        raise UsageError(
            f"`{context.command_path}` does not work on other machines",
            "Leave --host out; `lvmtui pull RUN --host HOST` copies a run to this one.",
        )
    return replace(session, store=store or session.store)


def session_at(
    context: typer.Context,
    store: str | None,
    hosts: Sequence[str] | None,
    *runs: str,
    offline: bool = False,
) -> Session:
    """The session of a subcommand that works on other machines too.

    Args:
        context: of the subcommand.
        store: its own `--store`.
        hosts: its own `--host`s; none: those named before it.
        runs: runs as the user names them; `17@gpu1` implies the host.
        offline: connect to no host.

    Raises:
        UsageError: a host is not known.
    """
    session: Session = context.find_root().obj
    session = replace(session, store=store or session.store, named=tuple(hosts or session.named))
    if session.named or offline or any("@" in run for run in runs):
        from lvmtui.cli.machines import machines_of

        machines = machines_of(session, runs, offline=offline)
        if machines is not None:
            context.call_on_close(machines.close)
            if offline:
                machines.say_ages()
        session = replace(session, machines=machines)
    return session


def watching(
    context: typer.Context, store: str | None, hosts: Sequence[str] | None = None, *, local: bool = False
) -> Session:
    """The session of what shows the dashboard, which watches hosts beside the store.

    Raises:
        UsageError: hosts were named, and that there be none.
    """
    session: Session = context.find_root().obj
    named, local = tuple(hosts or session.named), local or session.local
    if named and local:
        raise UsageError("--host and --local say the opposite", "Leave one of them out.")
    return replace(session, store=store or session.store, named=named, local=local)


def changing(context: typer.Context, store: str | None, what: str) -> Session:
    """The session of a subcommand that changes runs of this machine.

    Raises:
        UsageError: `--readonly` was given, or a host.
    """
    session = session_of(context, store)
    session.changes(what)
    return session


def changing_at(
    context: typer.Context, store: str | None, hosts: Sequence[str] | None, what: str, *runs: str
) -> Session:
    """The session of a subcommand that changes runs here or on other machines, as `session_at`.

    Raises:
        UsageError: `--readonly` was given; a host is not known.
    """
    context.find_root().obj.changes(what)
    return session_at(context, store, hosts, *runs)


@contextmanager
def reading(session: Session) -> Iterator[Reader]:
    """The store, or the mirrors of the hosts that are meant, opened to read.

    Raises:
        StoreMissing: there is none.
        RemoteError: a host cannot be reached.
    """
    if session.machines is not None:
        with session.machines.reading() as reader:
            yield reader
        return
    from lvmtui.store.reader import Reader
    from lvmtui.store.sqlite import open_reader

    store = open_reader(session.store)
    try:
        yield Reader(store)
    finally:
        store.close()


def find_run(session: Session, text: str) -> Run:
    """The run that is meant.

    Raises:
        RunNotFound: there is none.
    """
    if session.machines is not None:
        return session.machines.find(text)
    with reading(session) as reader:
        return reader.resolve(text)


def find_one(session: Session, text: str) -> tuple[Session, Run]:
    """The run that is meant, and the session for its machine alone.

    Raises:
        RunNotFound: there is none.
    """
    run = find_run(session, text)
    if session.machines is not None:
        session = replace(session, machines=session.machines.at(run.origin) if run.origin else None)
    return session, run


def take_snapshot(session: Session) -> Snapshot:
    """Everything in the store, or on the machines that are meant, but the histories of runs."""
    if session.machines is not None:
        return session.machines.snapshot()
    from lvmtui.merge import snapshot

    with reading(session) as reader:
        return snapshot(reader, now=time.time())


def look_at(session: Session, *runs: Run) -> None:
    """Have everything about these runs at hand, and keep it up to date: on another machine it is fetched.

    Raises:
        RemoteError: it does not come.
    """
    if session.machines is not None:
        session.machines.look_at(*runs)


def fetch_ranks(session: Session, runs: Sequence[Run]) -> None:
    """Have at hand what comparing these runs query by query takes.

    Raises:
        RemoteError: it does not come.
    """
    if session.machines is not None:
        session.machines.fetch_ranks(runs)


def perform(session: Session, run: Run, what: str, **arguments: object) -> str:
    """Have a run changed on the machine that it is on.

    Args:
        session: as for `find_run`.
        run: what `find_run` has found.
        what: name of the operation (`lvmtui.operations`).
        arguments: its other arguments.

    Returns:
        What was done, in words.

    Raises:
        RemoteError: its host does not answer.
        LvmtuiError: it cannot be done.
    """
    if session.machines is not None and run.origin:
        there = session.machines.at(run.origin)
        return there.ask(what, {"run": run.number, **arguments}, f"{what} {run.name}", run).words
    from lvmtui import operations

    return operations.perform(session.store, what, {"run": run.id, **arguments}).words


def ref(run: Run) -> str:
    """A run as a command takes it: `17`, or `17@gpu1`."""
    return run.label.removeprefix("#")


def view_of(snapshot: Snapshot, run: Run) -> RunView:
    """The view of a run that was found in the same store."""
    view = snapshot.view(run.id)
    if view is None:
        raise LookupError(f"{run.name} has left the store")
    return view


def write(text: str) -> None:
    """Print text as it is."""
    sys.stdout.write(text)


def line(text: str = "") -> None:
    """Print one line, with nothing in it that a terminal would obey."""
    sys.stdout.write(f"{plain(now().pasteable(text))}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something that is no result, on standard error."""
    sys.stdout.flush()
    sys.stderr.write(f"{plain(now().pasteable(text))}\n")
    sys.stderr.flush()


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, *, yes: bool) -> None:
    """Ask before going on.

    Args:
        question: plain text, without the question mark.
        yes: the answer was given with the command.

    Raises:
        UsageError: nobody is there to answer.
        typer.Exit: the answer was no.
    """
    if yes:
        return
    if not on_terminal():
        raise UsageError(
            f"{plain(question)}: this needs a yes, and there is no terminal to ask on", "Pass -y."
        )
    if not typer.confirm(plain(question), default=False, err=True):
        note("Nothing was done.")
        raise typer.Exit(1)


def terminal_width() -> int | None:
    """Columns of the terminal that is printed on; None when output goes elsewhere and needs no fitting."""
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


def names(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
