"""`lvmtui alerts`: the settings in force, a test of every way, and watching without a dashboard."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lvmtui.paths import config_file
from tests.cli.conftest import Done, Stored

Lvmtui = Callable[..., Done]


def configure(text: str) -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(f"[alerts]\n{text}\n")


def writing(file: Path) -> str:
    """A command that appends its input to a file."""
    code = f"import sys; open({str(file)!r}, 'a').write(sys.stdin.read() + chr(10))"
    return f"command = {json.dumps([sys.executable, '-c', code])}"


def test_ls_shows_the_defaults(lvmtui: Lvmtui) -> None:
    done = lvmtui("alerts", "ls")
    assert done.code == 0
    assert "lost        yes  yes    a run's process is gone or silent" in done.out
    assert "new-best    yes  no " in done.out
    assert "not there yet: these are the defaults" in done.out


def test_ls_shows_what_is_set_but_no_secrets(lvmtui: Lvmtui) -> None:
    configure('kinds = ["lost"]\nbell = false\nwebhook = "https://hooks.example.org/T0/secret"')
    out = lvmtui("alerts", "ls").out
    assert "https://hooks.example.org/…" in out
    assert "secret" not in out
    shown = json.loads(lvmtui("alerts", "ls", "--json").out)
    assert shown["kinds"]["lost"] == {"on": True, "rings": True}
    assert shown["kinds"]["failed"] == {"on": False, "rings": True}
    assert shown["bell"] == "off"
    assert "secret" not in json.dumps(shown)


def test_a_mistake_in_the_settings_is_named(lvmtui: Lvmtui) -> None:
    configure('kind = ["lost"]')
    done = lvmtui("alerts", "ls")
    assert done.code == 2
    assert "unknown setting alerts.kind" in done.err
    assert "Did you mean kinds?" in done.err


def test_test_without_anything_set(lvmtui: Lvmtui) -> None:
    done = lvmtui("alerts", "test")
    assert done.code == 0
    assert "command  none is set: alerts.command in config.toml" in done.out


def test_test_runs_the_command(lvmtui: Lvmtui, tmp_path: Path) -> None:
    out = tmp_path / "out"
    configure(writing(out))
    done = lvmtui("--store", "some.db", "alerts", "test", "disk")
    assert done.code == 0
    assert "✔ command" in done.out
    told = json.loads(out.read_text())
    assert (told["kind"], told["store"], told["severity"]) == ("disk", "some.db", "warn")


def test_test_fails_when_one_way_fails(lvmtui: Lvmtui) -> None:
    configure('command = ["/no/such/program"]')
    done = lvmtui("alerts", "test")
    assert done.code == 1
    assert "✖ command  /no/such/program cannot be run: No such file or directory" in done.out
    (failed,) = [item for item in json.loads(lvmtui("alerts", "test", "--json").out) if not item["ok"]]
    assert failed["channel"] == "command"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("alerts", "test", "lots"), "Did you mean lost?"),
        (("--readonly", "alerts", "test"), "--readonly is set"),
    ],
)
def test_wrong_usage(lvmtui: Lvmtui, arguments: tuple[str, ...], words: str) -> None:
    done = lvmtui(*arguments)
    assert done.code == 2
    assert words in done.err


def test_test_says_when_a_kind_is_off(lvmtui: Lvmtui) -> None:
    configure('kinds = ["failed"]')
    assert "lost is not among `kinds`" in lvmtui("alerts", "test").err


def test_watch_prints_and_delivers(
    stored: Stored, tmp_path: Path, alive: tuple[int, float], wait_until: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    configure(writing(out))
    writer = stored.started(*alive)
    stored._judged(writer)
    stored.epoch(writer, 1, 0.15)
    command = [sys.executable, "-m", "lvmtui", "--store", str(stored.path), "alerts", "watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        assert watching.stdout is not None
        assert "Watching" in watching.stderr.readline()
        # The watch has begun when it tells of the first thing after its start: one more epoch each try.
        told: list[dict[str, object]] = []
        for epoch, hit5 in ((2, 0.2), (3, 0.25)):
            writer.heartbeat()
            if epoch == 2:
                wait_until(lambda: out.exists() or _is_reading(watching.pid, stored.path))
            stored.epoch(writer, epoch, hit5)
            told.append(json.loads(watching.stdout.readline()))
        wait_until(lambda: out.exists() and len(out.read_text().splitlines()) >= 2)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    assert [item["kind"] for item in told] == ["new-best", "target"] or told[0]["kind"] == "new-best"
    assert told[0]["run"] == "phase-1 #1"


def _is_reading(pid: int, store: Path) -> bool:
    """Whether a process has the store open."""
    import psutil

    return any(Path(file.path) == store for file in psutil.Process(pid).open_files())
