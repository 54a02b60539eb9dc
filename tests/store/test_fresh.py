"""A store made without SQLAlchemy is the very one that the tables make."""

import sqlite3
from contextlib import closing
from pathlib import Path

from lvmtui.store.database import Database
from lvmtui.store.fresh import make_tables
from lvmtui.store.location import SCHEMA
from lvmtui.store.reader import Reader
from lvmtui.store.sqlite import open_reader


def statements(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()) for name, sql in found}


def test_it_has_the_tables_and_indexes_that_sqlalchemy_makes(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "fresh.db")) as connection:
        make_tables(connection, "fresh")
        connection.commit()
    Database.open(tmp_path / "usual.db").close()
    assert statements(tmp_path / "fresh.db") == statements(tmp_path / "usual.db")


def test_it_is_read_like_any_store(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "fresh.db")) as connection:
        make_tables(connection, "fresh")
        connection.commit()
    source = open_reader(tmp_path / "fresh.db")
    assert source.select("SELECT max(version) FROM schema_version").values == [(SCHEMA,)]
    assert Reader(source).runs() == []
    source.close()
