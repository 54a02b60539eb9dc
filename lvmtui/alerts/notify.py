"""Tells an alert outside the dashboard: bell, desktop notification, the user's command, a webhook.

The user's command and webhook run in a thread of their own, one alert after another, each under a time limit;
that one of them fails is said once.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from lvmtui.alerts.kinds import Alert, Kind
from lvmtui.alerts.settings import AlertSettings
from lvmtui.format import fit, plain
from lvmtui.launcher import run_hook

BELL = "\a"

OSC_LENGTH = 200
"""Cells of a desktop notification's text."""

WAITING = 100
"""Alerts that may wait for a slow command; the oldest are then left out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an alert on one of its ways."""

    channel: str
    ok: bool
    words: str


def terminal_codes(alert: Alert, settings: AlertSettings) -> str:
    """What is written to the terminal: bell and desktop notification; empty where neither is wanted."""
    if alert.kind not in settings.ring:
        return ""
    return (BELL if settings.bell else "") + notification(alert.text, settings.osc)


def notification(text: str, osc: str, *, in_tmux: bool | None = None) -> str:
    """The escape sequence of a desktop notification; its text cannot end it or begin another.

    Args:
        text: anything; made harmless here.
        osc: one of `settings.OSC`.
        in_tmux: wrapped so that tmux hands it on (if its `allow-passthrough` is on); None: looks itself.
    """
    said = fit(plain(text), OSC_LENGTH)
    # Windows Terminal and ConEmu take `OSC 9 ; digit` for something else: a name stands before the text.
    codes = {
        "9": f"\x1b]9;lvmtui: {said}\x1b\\",
        "777": f"\x1b]777;notify;lvmtui;{said.replace(';', ',')}\x1b\\",
        "99": f"\x1b]99;;lvmtui: {said}\x1b\\",
    }
    code = codes.get(osc, "")
    if in_tmux is None:
        in_tmux = bool(os.environ.get("TMUX"))
    return "\x1bPtmux;" + code.replace("\x1b", "\x1b\x1b") + "\x1b\\" if code and in_tmux else code


def run_command(alert: Alert, settings: AlertSettings, store: str) -> Outcome:
    """Run the user's command with the alert in its environment, and as JSON on its standard input."""
    environment = {
        "LVMTUI_ALERT_KIND": alert.kind.value,
        "LVMTUI_ALERT_RUN": alert.run,
        "LVMTUI_ALERT_RUN_ID": alert.run_ref,
        "LVMTUI_ALERT_MESSAGE": alert.message,
        "LVMTUI_ALERT_SEVERITY": alert.severity.value,
        "LVMTUI_ALERT_STORE": plain(store),
    }
    name = plain(settings.command[0])
    try:
        code, said = run_hook(
            settings.command, stdin=_body(alert, store), environment=environment, seconds=settings.time_limit
        )
    except OSError as error:
        return Outcome("command", False, f"{name} cannot be run: {error.strerror or error}")
    if code == 0:
        return Outcome("command", True, f"{name} ended well")
    lines = [plain(text).strip() for text in said.splitlines() if text.strip()]
    last = f": {fit(lines[-1], OSC_LENGTH)}" if lines else ""
    return Outcome("command", False, f"{name} ended with exit code {code}{last}")


def post(alert: Alert, settings: AlertSettings, store: str) -> Outcome:
    """Post the alert to the webhook as JSON. Redirects are not followed: the alert would be lost on the way,
    or go where nobody meant it to."""
    from http.client import HTTPException
    from urllib.parse import urlsplit

    url, limit = settings.webhook, settings.time_limit
    host = plain(urlsplit(url).hostname or "")
    answer: queue.Queue[int | Exception] = queue.Queue(1)

    def exchange() -> None:
        try:
            answer.put(_status(url, _body(alert, store), limit))
        except (OSError, HTTPException, ValueError) as error:
            answer.put(error)

    # A socket's own limit holds for each piece that it receives: a server that sends a byte now and then
    # would keep this for ever.
    threading.Thread(target=exchange, name="webhook", daemon=True).start()
    try:
        code = answer.get(timeout=limit)
    except queue.Empty:
        code = TimeoutError()
    if isinstance(code, Exception):
        reason = getattr(code, "reason", None) or code
        if isinstance(reason, TimeoutError):
            return Outcome("webhook", False, f"{host} gave no answer within {limit:.0f} s")
        return Outcome("webhook", False, f"{host} cannot be reached: {plain(str(reason))}")
    if 200 <= code < 300:
        return Outcome("webhook", True, f"{host} took it ({code})")
    moved = "; redirects are not followed" if 300 <= code < 400 else ""
    return Outcome("webhook", False, f"{host} answered {code}{moved}")


def _status(url: str, body: bytes, seconds: float) -> int:
    """The HTTP status that a POST is answered with.

    Raises:
        OSError, http.client.HTTPException, ValueError: there is no answer, or none that makes sense.
    """
    from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

    # Put together by hand: the usual opener also reads files and follows redirects.
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    headers = {"Content-Type": "application/json", "User-Agent": "lvmtui"}
    response = opener.open(Request(url, data=body, headers=headers, method="POST"), timeout=seconds)
    if response is None:
        raise ValueError("nothing here speaks that URL")
    with response:
        return int(response.status)


def _body(alert: Alert, store: str) -> bytes:
    return json.dumps({**alert.record(), "store": plain(store)}).encode()


class Notifier:
    """Hands alerts to the user's command and webhook, without anybody waiting for them."""

    def __init__(self, settings: AlertSettings, store: str, on_failure: Callable[[str], None]) -> None:
        """
        Args:
            settings: the user's choice.
            store: the store that the alerts are about.
            on_failure: told, in the notifier's thread, of the first failure of each way.
        """
        self._settings = settings
        self._store = store
        self._on_failure = on_failure
        self._failed: set[str] = set()
        self._waiting: queue.Queue[Alert | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, alert: Alert) -> None:
        """Hand over an alert; returns at once."""
        if not (self._settings.command or self._settings.webhook):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
            self._thread.start()
        self._put(alert)

    def _put(self, item: Alert | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(item)
            except queue.Full:
                try:
                    self._waiting.get_nowait()
                except queue.Empty:
                    continue
            else:
                return

    def close(self, seconds: float = 0.0) -> None:
        """Take no more, and wait at most so long for what was handed over."""
        if self._thread is not None:
            self._put(None)
            self._thread.join(seconds)

    def _work(self) -> None:
        while (alert := self._waiting.get()) is not None:
            for outcome in deliver(alert, self._settings, self._store):
                if not outcome.ok and outcome.channel not in self._failed:
                    self._failed.add(outcome.channel)
                    self._on_failure(f"The {outcome.channel} for alerts failed: {outcome.words}")


def deliver(alert: Alert, settings: AlertSettings, store: str) -> list[Outcome]:
    """Run the command and post to the webhook, where they are set, and wait for both."""
    done = []
    if settings.command:
        done.append(run_command(alert, settings, store))
    if settings.webhook:
        done.append(post(alert, settings, store))
    return done


def sample(kind: Kind, now: float) -> Alert:
    """An alert for trying the ways out. It says that it is one."""
    from lvmtui.alerts.kinds import MEANINGS, SEVERITIES

    message = f"this is a test; such an alert says that {MEANINGS[kind]}"
    return Alert(kind, None, SEVERITIES[kind], message, now)
