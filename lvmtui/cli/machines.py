"""The machines that a subcommand is about: hosts over SSH, and perhaps this one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lvmtui.cli.invocation import now
from lvmtui.cli.session import Session, names, note
from lvmtui.config import load_config
from lvmtui.errors import RunNotFound, StoreMissing, UsageError
from lvmtui.format import duration
from lvmtui.remote.hosts import EVERY, Host, parse_hosts

if TYPE_CHECKING:
    from pathlib import Path

    from lvmtui.remote.outbox import Answer
    from lvmtui.remote.visit import Visit, Visits
    from lvmtui.snapshot import Snapshot
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Run

_AT_HOST = re.compile(r"(?P<run>.+)@(?P<host>[A-Za-z0-9._-]{1,40})")


def split_label(text: str) -> tuple[str, str]:
    """A run as the user names it, without its host, and the host; empty where none is named."""
    fits = _AT_HOST.fullmatch(text.strip())
    return (fits["run"].strip(), fits["host"]) if fits else (text, "")


def machines_of(session: Session, runs: Sequence[str] = (), *, offline: bool = False) -> Machines | None:
    """The machines that were named, or that the labels of runs imply; None: this one alone.

    Args:
        session: with the hosts that were named.
        runs: runs as the user names them.
        offline: connect to none.

    Raises:
        UsageError: a host makes no sense.
        RunNotFound: a run's host is not known.
    """
    from lvmtui.remote.visit import Visits

    if session.named:
        known = load_config().hosts
        hosts, here = parse_hosts(session.named, known), EVERY in session.named
        now().name(hosts, known.values())
    else:
        labels = [split_label(run)[1] for run in runs]
        hosts, here = _labelled(labels), "" in labels
    if not hosts:
        if offline:
            raise UsageError("--offline says nothing without --host", "Name a host, or leave it out.")
        return None
    return Machines(hosts, session.store, here, Visits(readonly=session.readonly, offline=offline))


def _labelled(labels: Sequence[str]) -> tuple[Host, ...]:
    known = load_config().hosts
    for name in filter(None, labels):
        if name not in known:
            hint = f"Set: {', '.join(known)}." if known else "The settings name no hosts."
            raise RunNotFound(
                f"there is no host {name!r} in the settings",
                f"{hint} `lvmtui hosts add {name}` adds it; `--host {name}` goes without.",
            )
    return tuple(known[name] for name in dict.fromkeys(labels) if name)


class Machines:
    """Where the runs are that a subcommand is about. Hosts are connected to when they are first needed."""

    def __init__(self, hosts: Sequence[Host], store: str, here: bool, visits: Visits) -> None:
        """
        Args:
            hosts: at least one.
            store: path or URL of the store of this machine.
            here: whether that is meant too.
            visits: connections, shared by all that `at` makes.
        """
        self.hosts = tuple(hosts)
        self.here = here
        self._store = store
        self._visits = visits

    def at(self, name: str) -> Machines:
        """One of the hosts alone."""
        host = next(host for host in self.hosts if host.name == name)
        return Machines([host], self._store, False, self._visits)

    def say_ages(self) -> None:
        """Say how old what is known of the hosts is.

        Raises:
            RemoteError: nothing is known of one.
        """
        for visit in self._reached():
            if visit.mirrored is not None:
                age = duration(max(0.0, time.time() - visit.mirrored))
                note(f"{visit.host.name}: as it was {age} ago.")

    def close(self) -> None:
        """End the connections."""
        self._visits.close()

    def visit(self, name: str, *, listed: bool = True) -> Visit:
        """One of the hosts, connected to.

        Args:
            name: of the host.
            listed: wait until its list of runs has arrived; else it need not have a store yet.

        Raises:
            RemoteError: it cannot be reached.
        """
        return self._visits.to([host for host in self.hosts if host.name == name], listed=listed)[0]

    @property
    def host(self) -> Host:
        """The one that is meant.

        Raises:
            UsageError: several are.
        """
        if len(self.hosts) > 1 or self.here:
            raise UsageError(
                f"this is done on one machine at a time; named: {names([host.name for host in self.hosts])}",
                "Name one host.",
            )
        return self.hosts[0]

    def _reached(self) -> list[Visit]:
        """Those of the hosts that can be reached. Of several machines some may be missing: that is said, and
        the rest is shown.

        Raises:
            RemoteError: none can be, and this machine is not meant.
        """
        found, failed = self._visits.to_some(self.hosts)
        if failed and not (found or self.here):
            raise failed[0]
        for error in failed if not now().is_partial else ():
            note(f"missing: {error.message}")
            for text in filter(None, [error.hint]):
                note(f"hint: {text}")
        now().is_partial |= bool(failed)
        return found

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """All of them as one store.

        Raises:
            RemoteError: a host cannot be reached.
        """
        from lvmtui.fleet_reader import open_fleet
        from lvmtui.remote.mirrors.reader import open_mirror

        visits = self._reached()
        if len(visits) == 1 and not self.here:
            reader: Reader = open_mirror(visits[0].path)
        else:
            reader = open_fleet(self._store if self.here else None, [visit.path for visit in visits])
        with _closing(reader):
            yield reader

    def find(self, text: str) -> Run:
        """The run that is meant. A bare number is of this machine where that is meant too.

        Raises:
            RunNotFound: there is none, or its host is not told.
        """
        from lvmtui.remote.mirrors.reader import open_mirror

        run, name = split_label(text)
        known = [host.name for host in self.hosts]
        if name and name not in known:
            raise RunNotFound(f"{name} is not among the hosts that were named", f"Named: {names(known)}.")
        if not name and not self.here and len(known) > 1:
            raise RunNotFound(
                f"on which host is {text!r}?", f"{run}@{known[0]} is on {known[0]}; named: {names(known)}."
            )
        if not name and self.here:
            reader = _open_store(self._store)
        else:
            reader = open_mirror(self.visit(name or known[0]).path)
        with _closing(reader):
            return reader.resolve(run)

    def snapshot(self) -> Snapshot:
        """Everything but the histories of runs.

        Raises:
            RemoteError: a host cannot be reached.
        """
        from lvmtui import merge
        from lvmtui.remote.combining import Combining, Part
        from lvmtui.remote.mirrors.reader import open_mirror
        from lvmtui.snapshot import Snapshot

        taken = time.time()
        visits = self._reached()
        local = Snapshot("", taken)
        # Who only watches others has no store here.
        with suppress(StoreMissing):
            if self.here:
                with _closing(_open_store(self._store)) as reader:
                    local = merge.snapshot(reader, now=taken)
        parts = []
        for visit in visits:
            with _closing(open_mirror(visit.path)) as reader:
                parts.append(Part(visit.view, merge.snapshot(reader, now=taken), visit.mirrored))
        return Combining().combine(local, parts, taken)

    def look_at(self, *runs: Run) -> None:
        """Wait until curves, scores, events and logs of these runs are there.

        Raises:
            RemoteError: they do not come.
        """
        for host in self.hosts:
            if numbers := [run.number for run in runs if run.origin == host.name]:
                self.visit(host.name).look_at(*numbers)

    def await_runs(self, numbers: Sequence[int], *, after: int = -1) -> list[Run]:
        """Runs of the host that is meant, once what is known of them here is as new as its answer.

        Args:
            numbers: of the runs.
            after: the revision before.

        Raises:
            RemoteError: they do not come.
        """
        from lvmtui.remote.mirrors.reader import open_mirror

        visit = self.visit(self.host.name, listed=False)
        found: dict[int, Run] = {}
        with _closing(open_mirror(visit.path)) as reader:

            def have_come() -> bool:
                runs = {run.number: run for run in reader.runs()}
                found.update((number, runs[number]) for number in numbers if number in runs)
                is_new = all(number in found and found[number].revision > after for number in numbers)
                return is_new and visit.view.is_whole

            visit.wait(have_come, "what became of it")
        return [found[number] for number in numbers]

    def fetch_ranks(self, runs: Sequence[Run]) -> None:
        """Wait until what comparing these runs takes is there.

        Raises:
            RemoteError: it does not come.
        """
        for host in self.hosts:
            if numbers := [run.number for run in runs if run.origin == host.name]:
                self.visit(host.name).fetch_ranks(numbers)

    def fetch_log(self, run: Run, target: Path) -> None:
        """Write all of a run's log into a file.

        Raises:
            RemoteError: it does not come.
        """
        from lvmtui.remote.copies.transfer import fetch_log
        from lvmtui.remote.ssh import ssh_words

        host = next(host for host in self.hosts if host.name == run.origin)
        fetch_log(host, str(run.number), target, ssh_words(load_config()))

    def ask(self, what: str, arguments: Mapping[str, Any], words: str, run: Run | None = None) -> Answer:
        """Have the host that is meant do something, as `Visit.ask`.

        Raises:
            UsageError: several are meant.
            RemoteError: it does not answer.
            LvmtuiError: it refuses.
        """
        # What is about no run works where there is no store yet.
        visit = self.visit(self.host.name, listed=run is not None)
        return visit.ask(what, arguments, words, run.id if run else None)


def _open_store(store: str) -> Reader:
    from lvmtui.store.reader import Reader
    from lvmtui.store.sqlite import open_reader

    return Reader(open_reader(store))


@contextmanager
def _closing(reader: Reader) -> Iterator[Reader]:
    try:
        yield reader
    finally:
        reader.database.close()
