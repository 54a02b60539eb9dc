"""The copy of a host's store that the runs of that host are shown from.

A mirror is a store of its own, with other ids: see `lvmtui.remote.hosts.global_id`. What the agent says is
checked, then written into it; nothing in it is worth anything that could not be fetched again. Several
processes may write one mirror: rows are put in place of themselves, and what is said to be known of a store,
or of a run, moves on only while nobody else has made the mirror forget it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lvmtui.errors import StoreError
from lvmtui.remote.agent.wire import Message, WireError
from lvmtui.remote.hosts import Host
from lvmtui.remote.mirrors import curves as mirror_curves
from lvmtui.remote.mirrors import details as mirror_details
from lvmtui.remote.mirrors import lists as mirror_lists
from lvmtui.remote.mirrors import logs as mirror_logs
from lvmtui.remote.mirrors import places as mirror_places
from lvmtui.remote.mirrors import room as mirror_room
from lvmtui.remote.mirrors.file import open_file, throw_away
from lvmtui.remote.mirrors.places import STORE_NAME, InUse
from lvmtui.remote.mirrors.session import Session


class Mirror:
    """One host's mirror, to be written to by one thread at a time."""

    def __init__(self, host: Host, folder: Path, slot: int) -> None:
        """Use `open`."""
        self._host = host
        self.path = folder / STORE_NAME
        """The store's file; `lvmtui.remote.mirrors.reader.open_mirror` reads it."""
        self.slot = slot
        """What the ids of its rows begin with; see `global_id`."""
        self.refused = ""
        """Why the last row that was not kept was not; empty: none was refused since the last greeting."""
        self._in_use = InUse(folder)
        self._session: Session | None = None

    @classmethod
    def open(cls, host: Host, folder: Path | None = None) -> Mirror:
        """Open a host's mirror, making it where there is none that can be used.

        Args:
            host: whose.
            folder: where the mirrors of all hosts are; None: in the user's cache.

        Raises:
            StoreError: it cannot be made, or used.
        """
        place = folder or mirror_places.mirrors_folder()
        own = place / mirror_places.folder_name(host)
        mirror_places.make_private(place)
        mirror_places.make_private(own)
        with mirror_places.locked(place):
            number = mirror_places.slot(place, own.name)
        mirror = cls(host, own, number)
        try:
            mirror._connect()
        except BaseException:
            mirror.close()
            raise
        return mirror

    def have(self) -> dict[str, Any]:
        """What the agent's next greeting must know: what is kept of its store. Begins a conversation."""
        self.refused = ""
        self._connect()
        with self._reading() as session:
            session.begin()
            found = session.one("SELECT have FROM mirror")
        return dict(json.loads(found)) if found else {}

    def wanted(self, number: int, level: str) -> dict[str, Any]:
        """What goes into `want` for one run.

        Args:
            number: the run's in the store there.
            level: `all` or `few`.
        """
        with self._reading() as session:
            return mirror_curves.wanted(session, number, level)

    def apply(self, message: Message) -> bool:
        """Take in what the agent has said. Kinds that are none of a mirror's are passed over.

        Returns:
            Whether something has changed that a reader shows.

        Raises:
            WireError: it does not keep to the protocol, or says too much.
            StoreError: the mirror cannot be written.
        """
        handle = _HANDLERS.get(message["m"])
        if handle is None:
            return False
        with self._reading() as session:
            try:
                with session.transaction():
                    return handle(session, message)
            except sqlite3.IntegrityError as error:
                raise WireError(f"a {message['m']} does not fit what was said before: {error}") from error
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_FULL or not mirror_room.make_room(session):
                    raise
            with session.transaction():
                return handle(session, message)

    def heard(self) -> None:
        """Keep that the host was heard of now, for the next session."""
        with suppress(OSError):  # then that says when the mirror was written to
            self.path.with_name(mirror_places.HEARD_NAME).touch(mode=0o600)

    def reset(self) -> None:
        """Forget everything."""
        with self._reading() as session, session.transaction():
            mirror_lists.reset(session, {})

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._session is not None:
            self._session.close()
            self._session = None
        self._in_use.close()

    def _connect(self) -> None:
        if self._session is not None:
            return
        # One at a time: else one would put an empty file in place of another's.
        with mirror_places.locked(self.path.parents[1]):
            alone = self._in_use.alone()
            try:
                connection = open_file(self.path, self._host.name, self.slot, may_replace=alone)
            finally:
                self._in_use.shared()
        self._session = Session(connection, self.path.parent, self.slot, self._refuse)
        if mirror_room.is_crowded(self._session):
            mirror_room.make_room(self._session)

    def _refuse(self, why: str) -> None:
        self.refused = why

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        self._connect()
        assert self._session is not None
        try:
            yield self._session
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _trouble(self, error: sqlite3.Error) -> StoreError:
        """What to tell of it. A damaged file is thrown away where nobody else has it open."""
        where = f"the copy of {self._host.name}'s runs in {self.path.parent}"
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            return StoreError(
                f"{where} has no more room: the disk is full, or it holds a gigabyte",
                "It is only a cache: free some space, or delete that folder.",
            )
        if isinstance(error, sqlite3.OperationalError):
            return StoreError(f"{where} cannot be used: {error}", "Check the free disk space.")
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._in_use.alone():
            throw_away(self.path)
        self._in_use.shared()
        return StoreError(f"{where} is damaged: {error}", "It is fetched anew.")


def _code(error: sqlite3.Error) -> int:
    """SQLite's own number of an error, without its finer kinds."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_HANDLERS: dict[str, Callable[[Session, Message], bool]] = {
    "reset": mirror_lists.reset,
    "columns": mirror_lists.columns,
    "rows": mirror_lists.rows,
    "change": mirror_lists.change,
    "all": mirror_lists.every,
    "gone": mirror_lists.gone,
    "runs": mirror_lists.runs,
    "listed": mirror_lists.listed,
    "lost": mirror_lists.lost,
    "rewind": mirror_curves.rewind,
    "curve": mirror_curves.curve,
    "curved": mirror_curves.curved,
    "scored": mirror_curves.scored,
    "ranks": mirror_details.ranks,
    "log": mirror_logs.log,
}
