"""The part of the App that reads: the local store and those of watched hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import App

from lvmtui.errors import LvmtuiError
from lvmtui.messages import HostTried, RequestWithdrawn, SnapshotRead
from lvmtui.snapshot import Snapshot

if TYPE_CHECKING:
    from lvmtui.remote.fleet import Fleet
    from lvmtui.remote.hosts import Host


class Watching(App[int]):
    """Has the stores read, and says which run is where."""

    store: str
    readonly: bool
    snapshot: Snapshot | None

    def __init__(self) -> None:
        super().__init__()
        self.hosts: tuple[Host, ...] = ()
        """Watched beside the local store."""
        self.ssh: tuple[str, ...] = ()
        """Program and arguments that connect to them; empty: as usual."""
        self.fleet: Fleet | None = None
        """Reads all stores; None until the first frame is out."""

    def start_fleet(self, looked_at: Sequence[int], glanced_at: frozenset[int]) -> None:
        """Begin to read."""
        from lvmtui.remote.fleet import Fleet

        self.fleet = Fleet(self.store, self.hosts, self._post_snapshot, ssh=self.ssh, readonly=self.readonly)
        self.fleet.set_looked_at(looked_at, glanced_at=glanced_at)
        self.fleet.start()

    def _post_snapshot(self, snapshot: Snapshot) -> None:
        """Called in one of the fleet's threads; posting is safe from there."""
        self.post_message(SnapshotRead(snapshot))

    def may_return(self, run_id: int) -> bool:
        """Whether a run that is not in the snapshot may come yet: its host has not said what there is, or is
        not watched in this session."""
        name = self.fleet.name_of(run_id) if self.fleet is not None else ""
        if name is None or self.snapshot is None:
            return True
        host = self.snapshot.host(name) if name else None
        return host is not None and not host.is_whole

    @on(HostTried)
    def try_host(self, message: HostTried) -> None:
        """Try to connect now."""
        if self.fleet is not None:
            self.fleet.retry(message.host)

    @on(RequestWithdrawn)
    def withdraw_request(self, message: RequestWithdrawn) -> None:
        """Take back what was not sent yet."""
        if self.fleet is None:
            return
        try:
            withdrawn = self.fleet.withdraw(message.host, message.request_id)
        except LvmtuiError as error:
            self.notify(str(error), title="Not withdrawn", severity="error", markup=False)
            return
        if not withdrawn:
            words = f"It is on its way to {message.host}, or was answered."
            self.notify(words, title="Not withdrawn", severity="warning", markup=False)
