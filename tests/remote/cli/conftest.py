"""`--host` on the command line: a host with a store, and how the command line is called."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lvmtui.store.database import Database
from tests.cli.conftest import Done, Stored

Call = Callable[..., Done]


@contextmanager
def store_at(folder: Path) -> Iterator[Stored]:
    """A store to fill, as `tests/cli` has it."""
    database = Database.open(folder / "runs.db")
    yield Stored(folder / "runs.db", database)
    database.close()


@pytest.fixture
def hosts(ssh_hosts, monkeypatch, tmp_path):
    """The host gpu1, which the settings name, seen from an empty folder."""
    found = ssh_hosts("gpu1")
    for kind in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    (tmp_path / "config/lvmtui").mkdir(parents=True)
    (tmp_path / "config/lvmtui/config.toml").write_text('[hosts.gpu1]\ndestination = "gpu1"\n')
    monkeypatch.setenv("LVMTUI_SSH", " ".join(found.ssh))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return found


@pytest.fixture
def there(hosts) -> Iterator[Stored]:
    """The store of gpu1."""
    with store_at(hosts["gpu1"].home) as stored:
        yield stored


@pytest.fixture
def lvmtui(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line in this process."""
    from lvmtui.cli import main

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(list(arguments))
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call
