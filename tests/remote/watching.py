"""Watched hosts without a connection: real mirrors, and links that say what a test has them say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lvmtui.errors import RemoteError
from lvmtui.remote.agent.wire import Message
from lvmtui.remote.hosts import Host
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.watched import Opened
from lvmtui.snapshot import Contact, HostView
from lvmtui.store.records import DeviceSample


@dataclass
class ScriptedLink:
    """Stands in for `lvmtui.remote.link.Link`."""

    host: Host
    mirror: Mirror
    on_change: Callable[[], None]
    view: HostView
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    fetched: list[Message] = field(default_factory=list)
    """What the agent says when ranks are asked for."""
    come: set[int] = field(default_factory=set)
    live_devices: tuple[DeviceSample, ...] = ()

    def start(self) -> None:
        self.calls.append(("start",))

    def stop(self) -> None:
        self.calls.append(("stop",))
        self.mirror.close()

    def has_come(self, run: int) -> bool:
        return run in self.come

    def want(self, full: Sequence[int], few: Collection[int] = (), *, devices: bool = False) -> None:
        self.calls.append(("want", list(full), list(few), devices))

    def zoom(self, run: int, keys: Sequence[str], axis: str, low: float, high: float) -> None:
        self.calls.append(("zoom", run, list(keys), axis, low, high))

    def fetch(self, runs: Sequence[int], seconds: float) -> None:
        self.calls.append(("fetch", list(runs)))
        if self.view.contact is not Contact.LIVE:
            raise RemoteError(f"{self.host.name}: {self.view.reason}")
        self.say(self.fetched)

    def withdraw(self, request_id: str) -> bool:
        self.calls.append(("withdraw", request_id))
        return request_id == "r1"

    def retry_now(self) -> None:
        self.calls.append(("retry",))

    def say(self, messages: Iterable[Message]) -> None:
        """Have the agent say something."""
        for message in messages:
            self.mirror.apply(message)
        self.on_change()

    def show(self, **changes: Any) -> None:
        """Have the connection be different."""
        self.view = replace(self.view, **changes)
        self.on_change()

    def wanted(self) -> list[tuple[Any, ...]]:
        """What was said to be looked at, in order."""
        return [call[1:] for call in self.calls if call[0] == "want"]


class Machines:
    """Opens hosts for a fleet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.links: dict[str, ScriptedLink] = {}
        self.refuses: dict[str, Exception] = {}
        """Name of a host -> why it cannot be opened."""

    def open(self, host: Host, on_change: Callable[[], None]) -> Opened:
        if host.name in self.refuses:
            raise self.refuses[host.name]
        mirror = Mirror.open(host, self.folder)
        mirror.have()
        link = ScriptedLink(host, mirror, on_change, HostView(host.name, Contact.CONNECTING))
        self.links[host.name] = link
        return Opened(link, mirror.path, mirror.slot)  # type: ignore[arg-type]

    def __getitem__(self, name: str) -> ScriptedLink:
        return self.links[name]
