"""What commands that follow a run ask of the machine it is on: whether the run's process is still there, and
whether the machine can be reached."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lvmtui.cli.session import Session, note
from lvmtui.snapshot import Contact

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Run


def lost_because(reader: Reader, run: Run) -> str:
    """Why the run counts as lost; empty when it does not. Of another machine's run, what that says."""
    reasons = reader.lost_reasons()
    if reasons is not None:
        return reasons.get(run.id, "")
    from lvmtui.liveness import lost_reason

    return lost_reason(run, time.time()) or ""


def is_over(reader: Reader, run: Run) -> bool:
    """Whether nothing more is to be expected of the run."""
    from lvmtui.store.lifecycle import Status

    return run.status is Status.DONE or bool(lost_because(reader, run))


class Contacts:
    """Says, once each time, when a machine that is followed cannot be reached, and when it can again."""

    def __init__(self, session: Session) -> None:
        self._machines = session.machines
        self._offline: set[str] = set()

    def tell(self) -> None:
        """Look how the connections are; call it now and then."""
        for host in self._machines.hosts if self._machines is not None else ():
            view = self._machines.visit(host.name).view if self._machines is not None else None
            if view is None or (view.contact is Contact.OFFLINE) == (host.name in self._offline):
                continue
            if view.contact is Contact.OFFLINE:
                self._offline.add(host.name)
                note(f"{host.name}: {view.reason}; still trying.")
            elif view.contact is Contact.LIVE:
                self._offline.discard(host.name)
                note(f"{host.name} is back.")
