"""`lvmtui pull` and `lvmtui push`: copies of runs from and to other machines."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import RUN_HELP, HostOption, JsonOption, Session, StoreOption, line, note, write
from lvmtui.errors import UsageError

if TYPE_CHECKING:
    from lvmtui.config import Config
    from lvmtui.remote.copying import Offer
    from lvmtui.remote.hosts import Host
    from lvmtui.remote.taking import Progress
    from lvmtui.remote.transfer import Copied

TELL_SECONDS = 0.2
"""Between two lines of progress."""

RATE_SECONDS = 10.0
"""The rate is that of so long."""

RunHere = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: 17, 'phase-3 #17' or last.", show_default=False)
]
RunThere = Annotated[str, typer.Argument(metavar="RUN", help=f"A run there: {RUN_HELP}", show_default=False)]


def pull(
    context: typer.Context,
    run: RunThere,
    host: HostOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Copy a run of another machine, checkpoints and all, into the store here.

    Broken off, it goes on where it was; done again, it brings the copy up to date. A run that still trains is
    copied as it is now, and its copy is not resumed.
    """
    from lvmtui.cli.machines import split_label
    from lvmtui.remote import transfer

    number, label = split_label(run)
    session, config, there = _there(context, host, label, store)
    session.changes("pull")
    told = _Told(quiet=as_json)
    words = _ssh(config)
    with told:
        done = transfer.pull(
            *(there, number, session.store, words),
            on_offer=told.offer,
            on_progress=told.progress,
            on_pause=told.pause,
        )
    _report(done, as_json, where="here", source=there.name)


def push(
    context: typer.Context,
    run: RunHere,
    host: HostOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Copy a run of the store here, checkpoints and all, to another machine.

    Broken off, it goes on where it was; done again, it brings the copy there up to date.
    """
    from lvmtui.remote import transfer

    session, config, there = _there(context, host, "", store)
    session.changes("push")
    told = _Told(quiet=as_json)
    words = _ssh(config)
    with told:
        done = transfer.push(
            *(there, run, session.store, words),
            on_offer=told.offer,
            on_progress=told.progress,
            on_pause=told.pause,
        )
    _report(done, as_json, where=f"on {there.name}", source="here")


def _there(
    context: typer.Context, named: list[str] | None, label: str, store: str | None
) -> tuple[Session, Config, Host]:
    """The session, the settings, and the one other machine that is meant.

    Raises:
        UsageError: none is named, or several are.
    """
    from dataclasses import replace

    from lvmtui.cli.hosts import settings
    from lvmtui.remote.hosts import parse_hosts

    session: Session = context.find_root().obj
    config = settings()
    found = parse_hosts([*session.named, *(named or ()), *filter(None, [label])], config.hosts)
    if len(found) != 1:
        what = "no machine is named" if not found else "a run is copied from or to one machine at a time"
        raise UsageError(what, "Name one: --host gpu1.")
    return replace(session, store=store or session.store), config, found[0]


def _ssh(config: Config) -> tuple[str, ...]:
    from lvmtui.remote.ssh import ssh_words

    return ssh_words(config)


def _report(done: Copied, as_json: bool, *, where: str, source: str) -> None:
    from lvmtui.export.text import to_json
    from lvmtui.format import size, thousands

    if as_json:
        write(to_json(asdict(done)))
        return
    what = "brought up to date" if done.again else "copied"
    line(f"{done.name} {where}: {what}, {thousands(done.rows)} new rows, {size(done.size)} sent")
    if done.state:
        note(f"It was {done.state} ({source}): the copy is of this moment and is not resumed. Again, later.")
    for name, why in done.left_out:
        note(f"left out: {name}: {why}")


class _Told:
    """Says how far a copy is: one line that is written over on a terminal, else only the beginning."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._last = 0.0
        self._marks: list[tuple[float, int]] = []

    def offer(self, offer: Offer) -> None:
        """Say what is to come, before it does."""
        from lvmtui.format import size, thousands

        if not self._quiet:
            files = len(offer.files)
            note(
                f"{offer.about['name']}: {thousands(files)} file{'s' * (files != 1)} and its rows, "
                f"{size(offer.size)}"
            )

    def progress(self, progress: Progress) -> None:
        """Say how far it is, how fast, and how long it will take."""
        now = time.monotonic()
        if not self._live or (now - self._last < TELL_SECONDS and progress.done < progress.size):
            return
        self._last = now
        self._marks = [mark for mark in self._marks if now - mark[0] <= RATE_SECONDS]
        self._marks.append((now, progress.done))
        sys.stderr.write(f"\r\x1b[K{self._line(progress)}")
        sys.stderr.flush()

    def _line(self, progress: Progress) -> str:
        from lvmtui.format import duration, plain, size

        (begun, before), (now, done) = self._marks[0], self._marks[-1]
        rate = (done - before) / (now - begun) if now > begun else 0.0
        share = progress.done / progress.size if progress.size else 1.0
        words = f"{100 * share:3.0f} %  {size(progress.done)} of {size(progress.size)}"
        if rate > 0:
            words += f"  {size(round(rate))}/s  {duration((progress.size - progress.done) / rate)} left"
        return f"{words}  {plain(progress.name).rpartition('/')[2] or 'rows'}"

    def pause(self, reason: str, seconds: float) -> None:
        """Say that the connection broke off."""
        self.end()
        self._marks.clear()
        note(f"{reason}; trying again in {seconds:.0f} s")

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Leave the line of progress."""
        if self._live and self._last:
            sys.stderr.write("\n")
            self._last = 0.0
