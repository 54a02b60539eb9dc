"""`--host` on the command line, over a real sshd: lists, runs, curves, logs and comparisons."""

import json
import os
import re
import threading
import time
from pathlib import Path

import psutil
import pytest

from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Event
from tests.cli.conftest import Stored
from tests.remote.cli.conftest import Call, store_at


def test_runs_of_a_host_are_shown(there: Stored, lvmtui: Call) -> None:
    finished = there.finished(0.15, 0.22)
    long = there.started().run()
    (there.path.parent / finished.folder / "run.log").write_text("hello\nfrom \x1b[31mthere\n")

    done = lvmtui("ls", "--host", "gpu1")
    assert not done.err
    assert "phase-1 #1@gpu1" in done.out
    assert "process 4194303 is gone" in done.out

    done = lvmtui("--host", "gpu1", "show", "1")
    assert not done.err
    assert "epoch 2 of 3" in done.out
    assert "sha256" in done.out

    done = lvmtui("plot", "1@gpu1", "-m", "val/hit5")
    assert done.out.splitlines()[0].strip() == "phase-1 #1@gpu1 by epoch", done.err

    assert lvmtui("logs", "2@gpu1").err.startswith("error: phase-1 #2@gpu1 has no log yet")
    assert lvmtui("logs", "phase-1 #1@gpu1").out == "hello\nfrom there\n"
    file = there.path.parent / long.folder / "run.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"line {number:06}\n" for number in range(60_000)))
    done = lvmtui("logs", "last@gpu1", "-n", "2")
    assert (done.out, done.err) == ("line 059998\nline 059999\n", "")
    done = lvmtui("logs", "last@gpu1")
    assert (done.out, done.err) == (file.read_text(), ""), "all of it is fetched"


def test_json_has_numbers_and_hosts(there: Stored, lvmtui: Call) -> None:
    there.finished(0.15, 0.22)
    record = json.loads(lvmtui("ls", "--host", "gpu1", "--json").out)[0]
    assert (record["run_id"], record["run"], record["origin"]) == (1, "phase-1 #1@gpu1", "gpu1")
    board = lvmtui("leaderboard", "--host", "gpu1", "--json").out
    rows = [row for row in json.loads(board)[0]["rows"] if row["run_id"] is not None]
    assert [(row["run_id"], row["origin"]) for row in rows] == [(1, "gpu1")]
    shown = lvmtui("show", "1@gpu1", "--json").out
    assert str((1 << 32) + 1) not in json.dumps(record) + board + shown


def test_runs_of_several_machines_stand_side_by_side(there: Stored, lvmtui: Call) -> None:
    there.finished(0.15, 0.22)
    with store_at(Path.cwd()) as here:
        here.finished(0.18, 0.2)

    done = lvmtui("ls", "--host", "all")
    assert not done.err
    assert [text.split("  ")[0] for text in done.out.splitlines()[1:]] == ["phase-1 #1", "phase-1 #1@gpu1"]
    done = lvmtui("leaderboard", "--host", "all")
    rows = [text.split() for text in done.out.splitlines()]
    assert [row[0] for row in rows if row[1:3] == ["phase-1", "#1@gpu1"]] == ["1"]
    assert [row[0] for row in rows if row[1:3] == ["phase-1", "#1"]] == ["2="]
    assert done.out.count("copy-last") == 1, "the same protocol is one group, with each baseline once"
    done = lvmtui("compare", "1", "1@gpu1")
    assert done.code == 0, done.err
    assert "phase-1 #1@gpu1" in done.out
    # On several machines a bare number is of this one.
    assert "phase-1 #1\n" in lvmtui("show", "--host", "all", "1").out


def test_a_log_is_followed_over_a_broken_connection(hosts, there: Stored, lvmtui: Call, capsys) -> None:
    writer = there.started(os.getpid(), psutil.Process().create_time())
    log = there.path.parent / writer.run().folder / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("one\n")

    def go_on() -> None:
        """Write more as soon as the first line has been printed, then end."""
        deadline = time.monotonic() + 30
        printed = ""
        while "one" not in printed and time.monotonic() < deadline:
            printed += capsys.readouterr().out
            time.sleep(0.05)
        hosts["gpu1"].proxy.cut()
        with log.open("a") as file:
            file.write("two\n")
        writer.finish(Result.COMPLETED, Event("completed", "all epochs done", time.time()))

    thread = threading.Thread(target=go_on)
    thread.start()
    done = lvmtui("logs", "-f", "1@gpu1")
    thread.join()
    assert (done.code, done.out) == (0, "two\n")
    assert "Traceback" not in done.err


def test_a_host_that_cannot_be_reached_says_why(hosts, there: Stored, lvmtui: Call) -> None:
    there.finished(0.2)
    assert lvmtui("ls", "--host", "gpu1").code == 0
    hosts["gpu1"].stop()
    done = lvmtui("ls", "--host", "gpu1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: gpu1: ")
    assert "\nhint: " in done.err

    done = lvmtui("ls", "--host", "gpu1", "--offline")
    assert done.code == 0
    assert re.fullmatch(r"gpu1: as it was [\d.]+ ?s ago\.\n", done.err), done.err
    assert "phase-1 #1@gpu1" in done.out
    done = lvmtui("show", "1@gpu1", "--offline")
    assert "phase-1 #1@gpu1" in done.out


def test_of_several_machines_one_may_be_missing(hosts, there: Stored, lvmtui: Call) -> None:
    there.finished(0.2)
    done = lvmtui("ls", "--host", "gpu1", "--host", "nobody.invalid")
    assert done.code == 1
    assert "phase-1 #1@gpu1" in done.out
    assert done.err.startswith("missing: nobody.invalid: ")
    assert done.err.count("missing") == 1
    done = lvmtui("leaderboard", "--host", "nobody.invalid", "--host", "gpu1", "--json")
    assert (done.code, json.loads(done.out)[0]["rows"][0]["origin"]) == (1, "gpu1")
    done = lvmtui("ls", "--host", "nobody.invalid", "--host", "nobody2.invalid")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: nobody.invalid: ")


def test_a_host_without_lvmtui_is_looked_at_and_not_changed(hosts, there: Stored, lvmtui: Call) -> None:
    hosts["gpu1"].uninstall()
    there.finished(0.15, 0.22)
    assert "22.0" in lvmtui("show", "1@gpu1").out
    done = lvmtui("pin", "1@gpu1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: nothing can be changed on gpu1: ")


def test_readonly_refuses_before_connecting(hosts, lvmtui: Call) -> None:
    hosts["gpu1"].stop()
    for words in (["stop", "1@gpu1"], ["--host", "gpu1", "pin", "1"], ["launch", "demo", "--host", "gpu1"]):
        done = lvmtui("--readonly", *words)
        assert (done.code, done.out) == (2, "")
        assert "--readonly is set" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "1@gpu7"), "there is no host 'gpu7'"),
        (("show", "1@gpu7", "--host", "gpu1"), "gpu7 is not among the hosts that were named"),
        (("show", "1", "--host", "gpu1", "--host", "gpu2"), "on which host is '1'?"),
        (("ls", "--host=-oProxyCommand=x"), "-oProxyCommand=x"),
        (("ls", "--host", ""), "is no host"),
        (("ls", "--offline"), "--offline says nothing without --host"),
        (("--host", "gpu1", "audit", "1"), "`lvmtui audit` does not work on other machines"),
        (("--host", "gpu1", "--local", "once"), "--host and --local say the opposite"),
        (("launch", "a.toml", "b.toml", "--host", "gpu1"), "sent to another machine alone"),
        (("launch", "demo", "--host", "any"), "--queue-host any"),
        (("launch", "nowhere.toml", "--host", "gpu1"), "cannot read nowhere.toml"),
    ],
)
def test_what_makes_no_sense_is_refused_without_connecting(
    words: tuple[str, ...],
    said: str,
    lvmtui: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LVMTUI_SSH", "false")
    done = lvmtui(*words)
    assert done.code in {1, 2}
    assert done.out == ""
    assert said in done.err


def test_one_frame_shows_hosts(hosts, there: Stored, lvmtui: Call) -> None:
    there.finished(0.15, 0.22)
    done = lvmtui("once", "--host", "gpu1", "--size", "120x36")
    assert done.code == 0, done.err
    assert "phase-1 #1@gpu1" in done.out
    done = lvmtui("--host", "gpu1", "once", "run", "--run", "1@gpu1", "--size", "120x36")
    assert done.code == 0, done.err
    assert "22.0" in done.out
    hosts["gpu1"].stop()
    done = lvmtui("once", "--size", "120x36")  # the settings name gpu1
    assert done.code == 1
    assert "#1@gpu1" in done.out
    assert done.err.startswith("error: gpu1: ")
    assert lvmtui("once", "--local").err.startswith("error: there is no run store")
