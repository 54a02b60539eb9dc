"""`lvmtui alerts`: what is told of runs and where to, trying that out, and watching without a dashboard."""

from __future__ import annotations

import json
import queue
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import JsonOption, Session, StoreOption, line, note, session_of, write
from lvmtui.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from lvmtui.alerts.kinds import Alert, Kind
    from lvmtui.alerts.notify import Notifier, Outcome
    from lvmtui.alerts.settings import AlertSettings
    from lvmtui.alerts.watch import Watch
    from lvmtui.snapshot import Snapshot

alerts = typer.Typer(
    help="Tell of new bests, stalls, losses and ends of runs: bell, desktop, a command, a webhook.",
    no_args_is_help=True,
)

POLL_SECONDS = 1.0
"""How long a wait for a snapshot takes before ctrl+c is looked for again."""


def _settings() -> AlertSettings:
    from lvmtui.commands import BY_ID
    from lvmtui.config import load_config

    return load_config(commands=BY_ID).alerts


@alerts.command("ls")
def show(as_json: JsonOption = False) -> None:
    """Show what is told and where to, as `alerts` in config.toml has it."""
    from lvmtui.alerts.kinds import MEANINGS
    from lvmtui.cli.tables import Column, print_table
    from lvmtui.export.text import to_json
    from lvmtui.paths import config_file

    settings = _settings()
    ways = _ways(settings)
    if as_json:
        kinds = {
            kind.value: {"on": kind in settings.kinds, "rings": kind in settings.ring} for kind in MEANINGS
        }
        write(to_json({"file": str(config_file()), "kinds": kinds, **ways}))
        return
    rows = [
        [kind.value, _sign(kind in settings.kinds), _sign(kind in settings.ring), meaning]
        for kind, meaning in MEANINGS.items()
    ]
    print_table([Column("kind"), Column("on"), Column("rings"), Column("when", shrinks=True)], rows)
    line()
    for name, value in ways.items():
        line(f"{name.replace('_', ' '):<13} {value or 'none'}")
    there = "" if config_file().exists() else " (not there yet: these are the defaults)"
    line(f"{'file':<13} {config_file()}{there}")


def _sign(wanted: bool) -> str:
    return "yes" if wanted else "no"


def _ways(settings: AlertSettings) -> dict[str, str]:
    from urllib.parse import urlsplit

    from lvmtui.format import percent, size

    limit = settings.disk_free
    hook = urlsplit(settings.webhook)
    return {
        "bell": "on" if settings.bell else "off",
        "osc": settings.osc,
        "command": " ".join(settings.command),
        # The path of a webhook is its password.
        "webhook": f"{hook.scheme}://{hook.hostname}/…" if settings.webhook else "",
        "stall_factor": f"{settings.stall_factor:g} times the usual time without a step, at least a minute",
        "disk_free": f"less than {percent(limit.share)} %"
        if limit.share
        else f"less than {size(limit.bytes)}",
        "time_limit": f"{settings.time_limit:g} s for the command and the webhook",
    }


@alerts.command("test")
def try_out(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="As `lvmtui alerts ls` names it.")] = "lost",
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Send an alert on every way that is set, and say what became of each.

    Exit code 1 when one of them failed.
    """
    from lvmtui.alerts.kinds import Kind
    from lvmtui.alerts.notify import sample

    session = session_of(context, store)
    if session.readonly:
        raise UsageError("a test runs the command and the webhook, and --readonly is set", "Leave it out.")
    if kind not in list(Kind):
        raise UsageError(f"there is no kind of alert {kind!r}", did_you_mean(kind, list(Kind)))
    settings = _settings()
    alert = sample(Kind(kind), time.time())
    outcomes = _send(alert, settings, session)
    if as_json:
        from lvmtui.export.text import to_json

        write(to_json([asdict(outcome) for outcome in outcomes]))
    else:
        for outcome in outcomes:
            line(f"{'✔' if outcome.ok else '✖'} {outcome.channel:<8} {outcome.words}")
        if alert.kind not in settings.kinds:
            note(f"{kind} is not among `kinds` in config.toml: only a test sends it.")
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(1)


def _send(alert: Alert, settings: AlertSettings, session: Session) -> list[Outcome]:
    from lvmtui.alerts.notify import Outcome, deliver

    done = deliver(alert, settings, session.store)
    not_set = [
        Outcome(name, True, f"none is set: alerts.{name} in config.toml")
        for name, value in (("command", settings.command), ("webhook", settings.webhook))
        if not value
    ]
    return [_on_terminal(alert, settings), *done, *not_set]


def _on_terminal(alert: Alert, settings: AlertSettings) -> Outcome:
    """Ring and notify on this terminal."""
    from lvmtui.alerts.notify import Outcome, terminal_codes

    codes = terminal_codes(alert, settings)
    if not codes:
        return Outcome("terminal", True, f"{alert.kind} rings no bell, or bell and osc are off")
    if not _write_codes(codes):
        return Outcome("terminal", True, "there is none here: no bell and no desktop notification")
    sent = ["bell"] if settings.bell else []
    sent += [f"OSC {settings.osc}"] if settings.osc != "off" else []
    return Outcome("terminal", True, f"{' and '.join(sent)} written; what comes of it is the terminal's")


def _write_codes(codes: str) -> bool:
    """Write to the terminal, if there is one."""
    if not sys.stderr.isatty():
        return False
    sys.stderr.write(codes)
    sys.stderr.flush()
    return True


@alerts.command("watch")
def watch(context: typer.Context, as_json: JsonOption = False, store: StoreOption = None) -> None:
    """Follow the store without a dashboard: print a line an alert, and tell it on every way that is set.

    Ctrl+C ends it. With --readonly nothing but the lines: no command, no webhook.
    """
    from lvmtui.alerts.notify import Notifier
    from lvmtui.alerts.watch import Watch
    from lvmtui.feed import Feed

    session = session_of(context, store)
    settings = _settings()
    snapshots: queue.SimpleQueue[Snapshot] = queue.SimpleQueue()
    feed = Feed(session.store, snapshots.put)
    notifier = None if session.readonly else Notifier(settings, session.store, note)
    teller = _Teller(settings, notifier, as_json)
    note(f"Watching {session.store}; ctrl+c ends this.")
    feed.start()
    try:
        _follow(
            Watch(stall_factor=settings.stall_factor, disk=settings.disk_free),
            snapshots,
            session.store,
            teller,
        )
    finally:
        feed.stop()
        if notifier is not None:
            notifier.close(settings.time_limit)


def _follow(watch: Watch, snapshots: queue.SimpleQueue[Snapshot], store: str, teller: _Teller) -> None:
    """Tell what comes, for ever."""
    from lvmtui.alerts.disk import DISK_SECONDS, disk_space

    problem = ""
    disk_at = 0.0
    while True:
        now = time.time()
        if now - disk_at >= DISK_SECONDS:
            disk_at = now
            space = disk_space(store)
            teller.tell(watch.look_at_disk(space, now) if space else [])
        try:
            snapshot = snapshots.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
        if snapshot.problem != problem:
            problem = snapshot.problem
            note(f"warning: {problem}" if problem else "The store can be read again.")
        teller.tell(watch.look(snapshot, time.time()))


class _Teller:
    """Prints alerts and hands them on."""

    def __init__(self, settings: AlertSettings, notifier: Notifier | None, as_json: bool) -> None:
        self._settings = settings
        self._notifier = notifier
        self._as_json = as_json

    def tell(self, found: list[Alert]) -> None:
        """Tell what is wanted of it."""
        from lvmtui.alerts.notify import terminal_codes

        for alert in found:
            if not self._wants(alert.kind):
                continue
            if self._as_json:
                line(json.dumps(alert.record()))
            else:
                line(_words(alert))
            _write_codes(terminal_codes(alert, self._settings))
            if self._notifier is not None:
                self._notifier.tell(alert)

    def _wants(self, kind: Kind) -> bool:
        return kind in self._settings.kinds


def _words(alert: Alert) -> str:
    """`14:02:11  ✖ lost        phase-3 #17: lost at epoch 9: process 4 is gone`."""
    from lvmtui.alerts.kinds import GLYPHS
    from lvmtui.format import clock

    return f"{clock(alert.time)}  {GLYPHS[alert.severity]} {alert.kind.value:<11} {alert.text}"
