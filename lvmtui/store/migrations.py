"""Schema versions: one ordered step each, every step in the transaction of its caller.

A fresh store gets the newest schema at once; an older one goes through the steps after its version.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, inspect, select
from sqlalchemy import text as text_of
from sqlmodel import SQLModel

from lvmtui.store import tables
from lvmtui.store.location import SCHEMA, foreign, too_new


@dataclass(frozen=True)
class Migration:
    """One step from the version before to `version`."""

    version: int
    name: str
    apply: Callable[[Connection], None]


def _create_first_schema(connection: Connection) -> None:
    SQLModel.metadata.create_all(connection)


def _create_query_facts(connection: Connection) -> None:
    SQLModel.metadata.tables[tables.QueryFactRow.__tablename__].create(connection)


def _create_latencies(connection: Connection) -> None:
    SQLModel.metadata.tables[tables.LatencyRow.__tablename__].create(connection)


def _add_queue_and_order(connection: Connection) -> None:
    number, text, truth = "INTEGER", "VARCHAR", "BOOLEAN"
    no = "0" if connection.dialect.name == "sqlite" else "FALSE"
    columns = {
        "device_wanted": f"{text} NOT NULL DEFAULT ''",
        "host_wanted": f"{text} NOT NULL DEFAULT ''",
        "priority": f"{number} NOT NULL DEFAULT 0",
        "place": "FLOAT",
        "held": f"{truth} NOT NULL DEFAULT {no}",
        "after": number,
        "pinned": f"{truth} NOT NULL DEFAULT {no}",
        "archived": f"{truth} NOT NULL DEFAULT {no}",
        "trashed": "FLOAT",
    }
    known = {column["name"] for column in inspect(connection).get_columns(tables.RunRow.__tablename__)}
    for name, kind in columns.items():
        if name not in known:
            connection.execute(text_of(f'ALTER TABLE run ADD COLUMN "{name}" {kind}'))


def _add_requests_and_sources(connection: Connection) -> None:
    known = {column["name"] for column in inspect(connection).get_columns(tables.RunRow.__tablename__)}
    if "source" not in known:
        connection.execute(text_of("ALTER TABLE run ADD COLUMN \"source\" TEXT NOT NULL DEFAULT ''"))
    SQLModel.metadata.tables[tables.RequestRow.__tablename__].create(connection, checkfirst=True)


MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "first schema", _create_first_schema),
    Migration(2, "facts about queries", _create_query_facts),
    Migration(3, "latencies", _create_latencies),
    Migration(4, "queue, pins, archive and trash", _add_queue_and_order),
    Migration(5, "requests of other machines, sources of copies", _add_requests_and_sources),
)
LATEST = SCHEMA

_versions = SQLModel.metadata.tables[tables.SchemaVersionRow.__tablename__]


def current_version(connection: Connection, where: str) -> int:
    """The schema version of an open store; 0 for an empty database.

    Raises:
        StoreCorrupt: there are tables in it, but none of ours.
        StoreTooNew: a later lvmtui wrote it.
    """
    names = set(inspect(connection).get_table_names())
    if _versions.name not in names:
        if names - {"sqlite_sequence"}:
            raise foreign(where)
        return 0
    version = connection.execute(select(func.max(_versions.c.version))).scalar() or 0
    if version > LATEST:
        program = connection.execute(
            select(_versions.c.program).where(_versions.c.version == version)
        ).scalar()
        raise too_new(where, program, version)
    return int(version)


def migrate(connection: Connection, where: str) -> None:
    """Bring the store to `LATEST`. The caller holds a write transaction."""
    from lvmtui import __version__

    version = current_version(connection, where)
    for migration in MIGRATIONS:
        if migration.version <= version:
            continue
        migration.apply(connection)
        applied = MIGRATIONS if version == 0 else (migration,)
        connection.execute(
            insert(_versions),
            [
                {"version": m.version, "name": m.name, "applied": time.time(), "program": __version__}
                for m in applied
            ],
        )
        if version == 0:
            # A fresh store was created at the newest schema.
            return
