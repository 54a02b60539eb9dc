"""`lvmtui pull` and `lvmtui push`: copies of runs from and to other machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import RUN_HELP, HostOption, JsonOption, Session, StoreOption, line, note, write
from lvmtui.errors import LvmtuiError, UsageError

if TYPE_CHECKING:
    from lvmtui.config import Config
    from lvmtui.remote.copies.copying import Offer
    from lvmtui.remote.copies.taking import Progress
    from lvmtui.remote.copies.transfer import Copied
    from lvmtui.remote.hosts import Host

TELL_SECONDS = 0.2
"""Between two lines of progress."""

RATE_SECONDS = 10.0
"""The rate is that of so long."""

RunsHere = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Runs: 17, 'phase-3 #17' or last.", show_default=False),
]
RunsThere = Annotated[
    list[str], typer.Argument(metavar="RUN...", help=f"Runs there: {RUN_HELP}", show_default=False)
]


def pull(
    context: typer.Context,
    runs: RunsThere,
    host: HostOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Copy runs of another machine, checkpoints and all, into the store here.

    Broken off, it goes on where it was; done again, it brings the copy up to date. A run that still trains is
    copied as it is now, and its copy is not resumed.

    For example: lvmtui pull last --host gpu1; lvmtui pull 17@gpu1 18@gpu1.
    """
    from lvmtui.cli.machines import split_label
    from lvmtui.remote.copies import transfer

    session, config = _session(context, host, store)
    session.changes("pull")
    labels = [split_label(run) for run in runs]
    wanted = [(number, _host(session, config, label)) for number, label in labels]
    _each(transfer.pull, wanted, session, config, as_json, what="pull")


def push(
    context: typer.Context,
    runs: RunsHere,
    host: HostOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Copy runs of the store here, checkpoints and all, to another machine.

    Broken off, it goes on where it was; done again, it brings the copy there up to date.

    For example: lvmtui push last --host gpu1.
    """
    from lvmtui.remote.copies import transfer

    session, config = _session(context, host, store)
    session.changes("push")
    there = _host(session, config, "")
    _each(transfer.push, [(run, there) for run in runs], session, config, as_json, what="push")


def _session(context: typer.Context, named: list[str] | None, store: str | None) -> tuple[Session, Config]:
    from dataclasses import replace

    from lvmtui.cli.hosts import settings

    session: Session = context.find_root().obj
    names = (*session.named, *(named or ()))
    return replace(session, store=store or session.store, named=names), settings()


def _host(session: Session, config: Config, label: str) -> Host:
    """The one other machine that is meant.

    Raises:
        UsageError: none is named, or several are.
    """
    from lvmtui.cli.invocation import now
    from lvmtui.remote.hosts import parse_hosts

    found = parse_hosts(session.named, config.hosts)
    if label and label not in [host.name for host in found]:
        found = (*found, *parse_hosts([label], config.hosts))
    if len(found) != 1:
        what = "no machine is named" if not found else "a run is copied from or to one machine at a time"
        raise UsageError(what, "Name one: --host gpu1.")
    now().name(found, config.hosts.values())
    return found[0]


def _each(
    copy: Callable[..., Copied],
    wanted: Sequence[tuple[str, Host]],
    session: Session,
    config: Config,
    as_json: bool,
    *,
    what: str,
) -> None:
    """Copy one run after the other. Where one of several cannot be copied, the others are all the same.

    Raises:
        LvmtuiError: it was the only one.
    """
    from lvmtui.cli.invocation import now
    from lvmtui.export.text import to_json

    records = []
    for run, there in wanted:
        told = _Told(quiet=as_json)
        try:
            with told:
                done = copy(
                    *(there, run, session.store, _ssh(config)),
                    on_offer=told.offer,
                    on_progress=told.progress,
                    on_pause=told.pause,
                )
        except LvmtuiError as error:
            if len(wanted) == 1:
                raise
            now().is_partial = True
            note(f"error: {run}: {error.message}")
            for hint in filter(None, [error.hint]):
                note(f"hint: {hint}")
            continue
        records.append(asdict(done))
        if not as_json and what == "pull":
            _report(done, where="here", source=there.name)
        elif not as_json:
            _report(done, where=f"on {there.name}", source="here")
    if as_json:
        write(to_json(records[0] if len(wanted) == 1 else records))


def _ssh(config: Config) -> tuple[str, ...]:
    from lvmtui.remote.ssh import ssh_words

    return ssh_words(config)


def _report(done: Copied, *, where: str, source: str) -> None:
    from lvmtui.format import size, thousands

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
