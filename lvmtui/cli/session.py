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

from lvmtui.errors import UsageError
from lvmtui.format import plain

if TYPE_CHECKING:
    from lvmtui.snapshot import RunView, Snapshot
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Run

StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="PATH", help="The run store; see `lvmtui --help`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: 17, '#17', 'phase-3 #17' or last.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class Session:
    """What was said before the subcommand."""

    store: str
    readonly: bool = False
    ascii_only: bool = False

    def changes(self, what: str) -> None:
        """Refuse what changes runs where that was ruled out.

        Raises:
            UsageError: `--readonly` was given.
        """
        if self.readonly:
            raise UsageError(f"{what} changes runs, and --readonly is set", "Leave --readonly out.")


def session_of(context: typer.Context, store: str | None = None) -> Session:
    """The session, with the subcommand's own `--store` on top."""
    session: Session = context.find_root().obj
    return replace(session, store=store or session.store)


def changing(context: typer.Context, store: str | None, what: str) -> Session:
    """The session of a subcommand that changes runs.

    Raises:
        UsageError: `--readonly` was given.
    """
    session = session_of(context, store)
    session.changes(what)
    return session


@contextmanager
def reading(session: Session) -> Iterator[Reader]:
    """The store, opened to read.

    Raises:
        StoreMissing: there is none.
    """
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
    with reading(session) as reader:
        return reader.resolve(text)


def take_snapshot(session: Session) -> Snapshot:
    """Everything in the store but the histories of runs."""
    from lvmtui.merge import snapshot

    with reading(session) as reader:
        return snapshot(reader, now=time.time())


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
    sys.stdout.write(f"{plain(text)}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something that is no result, on standard error."""
    sys.stdout.flush()
    sys.stderr.write(f"{plain(text)}\n")
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
