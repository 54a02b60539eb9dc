"""What other machines have asked for: each request is taken on once, however often it is delivered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from lvmtui.store import runs, tables
from lvmtui.store.convert import jsonable
from lvmtui.store.database import Database

_REQUEST = runs.table(tables.RequestRow)

KEPT_SECONDS = 30 * 86_400.0
"""How long an answered request is kept: nobody delivers it again after that."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was taken on before."""

    agent: str
    """Which process has taken it on."""
    answer: Mapping[str, Any] | None
    """What came of it; None: it is not done yet, or its process died over it."""


def begin(
    database: Database, request: str, what: str, arguments: Mapping[str, Any], agent: str
) -> Taken | None:
    """Take a request on, if nobody has.

    Args:
        request: its id.
        agent: which process takes it on.

    Returns:
        None: it is the caller's to do now; else who has taken it on before.
    """
    now = time.time()
    with database.write() as connection:
        if (taken := _taken(connection, request)) is not None:
            return taken
        connection.execute(delete(_REQUEST).where(_REQUEST.c.answered < now - KEPT_SECONDS))
        values = {"id": request, "what": what, "arguments": dict(arguments), "received": now}
        connection.execute(insert(_REQUEST).values(**values, agent=agent, answer={}))
        return None


def find(database: Database, request: str) -> Taken | None:
    """A request that was taken on; None: nobody has."""
    with database.read() as connection:
        return _taken(connection, request)


def end(database: Database, request: str, answer: Mapping[str, Any]) -> None:
    """Record what came of a request."""
    with database.write() as connection:
        connection.execute(
            update(_REQUEST)
            .where(_REQUEST.c.id == request)
            .values(answered=time.time(), answer=jsonable(answer))
        )


def _taken(connection: Connection, request: str) -> Taken | None:
    row = connection.execute(select(_REQUEST).where(_REQUEST.c.id == request)).mappings().first()
    if row is None:
        return None
    return Taken(row["agent"], row["answer"] if row["answered"] is not None else None)
