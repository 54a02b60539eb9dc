"""A machine with a store, seen from another one that has none yet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lvmtui.remote.hosts import Host
from lvmtui.store.database import Database
from tests.cli.conftest import Done, Stored


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
    settings = tmp_path / "config/lvmtui/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[hosts.gpu1]\ndestination = "gpu1"\n')
    monkeypatch.setenv("LVMTUI_SSH", " ".join(found.ssh))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return found


@pytest.fixture
def gpu1(hosts) -> Host:
    return hosts.host("gpu1")


@pytest.fixture
def there(hosts) -> Iterator[Stored]:
    """The store of gpu1."""
    with store_at(hosts["gpu1"].home) as stored:
        yield stored


@pytest.fixture
def near(tmp_path: Path) -> Path:
    """Where the store of this machine is; there is none yet."""
    return tmp_path / "here" / "runs.db"


@pytest.fixture
def lvmtui(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command line in this process."""
    from lvmtui.cli import main

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(list(arguments))
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call
