"""Making a store of the newest schema with the standard library alone: what `migrations` makes, as text."""

import sqlite3
import time
from functools import cache
from pathlib import Path

from lvmtui import __version__
from lvmtui.store.location import SCHEMA


@cache
def schema() -> str:
    """The statements that make every table and index of the newest schema."""
    return Path(__file__).with_name("newest.sql").read_text("utf-8")


def make_tables(connection: sqlite3.Connection, why: str) -> None:
    """Make every table in an empty file.

    Args:
        connection: to write to.
        why: stands in place of the names of the schema's steps.

    Raises:
        sqlite3.OperationalError: there are tables already, the disk is full, …
    """
    connection.executescript(schema())
    connection.execute(
        "INSERT INTO schema_version (version, name, applied, program) VALUES (?, ?, ?, ?)",
        (SCHEMA, why, time.time(), __version__),
    )
