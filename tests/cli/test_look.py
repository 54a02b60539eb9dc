"""ls, show, logs, plot, leaderboard, phases, doctor on real stores."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from lvmtui import stats
from lvmtui.findings import Finding
from lvmtui.store.reader import Reader
from lvmtui.store.records import Event, Interval, Protocol, QueryFact, Severity, Versus
from lvmtui.store.writer import Writer
from lvmtui.versus import KEY, as_details

Call = Callable[..., object]

READERS = [
    ["ls"],
    ["ls", "--json"],
    ["show", "1"],
    ["logs", "1"],
    ["plot", "1"],
    ["leaderboard"],
    ["export", "leaderboard"],
    ["export", "run", "1"],
    ["stop", "1"],
    ["resume", "1"],
    ["kill", "1", "-y"],
    ["promote", "1", "-y"],
]


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_a_missing_store_is_said_to_be_missing_and_is_not_made(lvmtui, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = lvmtui(*arguments)
    assert done.code == 1
    assert done.out == ""
    assert f"error: there is no run store at {tmp_path / 'runs.db'}" in done.err
    assert "hint: " in done.err
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize("arguments", [["show", "9"], ["logs", "9"], ["stop", "9"], ["export", "run", "9"]])
def test_an_unknown_run_is_named_with_the_newest(lvmtui, stored, arguments):
    stored.new()
    done = lvmtui(*arguments)
    assert done.code == 1
    assert done.err == "error: there is no run '9'\nhint: The newest are: phase-1 #1.\n"


def test_ls_of_an_empty_store_says_what_to_do(lvmtui, stored):
    done = lvmtui("ls")
    assert (done.code, done.out) == (0, "")
    assert "lvmtui launch" in done.err
    assert lvmtui("ls", "--json").out == "[]\n"


def test_ls_shows_every_state_and_finds_lost_runs(lvmtui, stored, alive):
    stored.finished(0.1, 0.3)
    stored.started()
    stored.started(*alive)
    stored.new()
    rows = lvmtui("ls").out.splitlines()
    assert rows[0].split()[:2] == ["run", "state"]
    assert [row.split()[3] for row in rows[1:]] == ["queued", "running", "lost", "completed"]
    assert "process 4194303 is gone" in rows[3]
    assert "30.0" in rows[4]
    active = lvmtui("ls", "--active").out.splitlines()
    assert len(active) == 2
    assert len(lvmtui("ls", "-n", "2").out.splitlines()) == 3


def test_ls_json_has_stable_keys(lvmtui, stored):
    stored.finished(0.1, 0.3)
    (record,) = json.loads(lvmtui("ls", "--json").out)
    assert {"run_id", "run", "phase", "state", "status", "result", "best", "last", "baseline"} <= set(record)
    assert (record["run_id"], record["state"], record["best_epoch"]) == (1, "completed", 2)
    assert record["best"]["hit5"] == 0.3
    assert record["baseline"]["name"] == "ewm"


def test_ls_takes_its_store_before_or_after_the_command_or_from_the_environment(
    lvmtui, stored, tmp_path, monkeypatch
):
    stored.new()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    where = str(stored.path)
    assert lvmtui("ls").code == 1
    assert "phase-1 #1" in lvmtui("--store", where, "ls").out
    assert "phase-1 #1" in lvmtui("ls", "--store", where).out
    monkeypatch.setenv("LVMTUI_STORE", where)
    assert "phase-1 #1" in lvmtui("ls").out


def test_show_tells_scores_baselines_targets_and_files(lvmtui, stored):
    stored.finished(0.1, 0.3)
    out = lvmtui("show", "last").out
    for expected in (
        "phase-1 #1",
        "✔ completed",
        "Hit@5 30.0 [",
        "exceeds target",
        "n 600, pool 640",
        "Hit@5 12.0 (+18.0)",
        "20.0 (✔ reached)",
        "train.lr=0.001",
        "best and last checkpoint",
        "cpu on ",
        "torch 2.13.0",
    ):
        assert expected in out


def test_show_says_plainly_when_a_run_is_below_its_baseline(lvmtui, stored):
    stored.finished(0.03)
    assert "below its baseline" in lvmtui("show", "1").out
    assert "▼ below its baseline" in lvmtui("leaderboard").out


def audited(stored):
    """A run below its baseline by the paired comparison, with findings and a score on the test split."""
    compared = Versus("ewm", -0.09, Interval(-0.12, -0.06), 0.0004, context=100, detectable=0.021)
    copied = Versus("copy-last", 0.01, Interval(-0.01, 0.03), 0.3, context=100, detectable=0.02)
    run = stored.finished(0.03)
    details = json.dumps({KEY: as_details([compared, copied])})
    with stored.database.write() as connection:
        connection.exec_driver_sql("UPDATE evaluation SET details = ? WHERE run_id = ?", (details, run.id))
    writer = Writer(stored.database, run.id)
    now = time.time()
    writer.events(
        [
            Finding("few-steps", "93 steps [red]x[/red]\x1b[31m", Severity.ERROR, "Train longer.").event(now),
            Finding("stall", "no gain", Severity.WARN).event(now),
        ]
    )
    writer.events([Finding("norms", "unit length", data="f" * 16).event(now)], of_run=False)
    for _ in range(2):
        writer.events([Event("test_look", "looked", now, evidence={"data": "f" * 16, "protocol": "p2"})])
    judged = Protocol("p2", "doc-v1", "f" * 16, {}, "test", 600, 640, 0.0, 30)
    writer.save_protocol(judged)
    best = Reader(stored.database).best_evaluation(run)
    writer.save_evaluation(
        replace(best, protocol_id="p2", split="test", details={}, hit5=0.05, run_id=run.id)
    )


def test_show_says_what_is_wrong_and_what_the_score_is_worth(lvmtui, stored):
    audited(stored)
    out = lvmtui("show", "1").out
    for expected in (
        "✖ few-steps",
        "93 steps [red]x[/red] → Train longer.",
        "! stall",
        "▼ below its baseline: Hit@5 −9.0 [−12.0, −6.0], p<.001 against ewm, paired over the same queries",
        "−10.2 % of what ewm leaves to gain",
        "2.1 points of Hit@5, with a power of 80 %",
        "Hit@5 +1.0 [−1.0, +3.0], p=.30",
        "test split",
        "Hit@5 5.0 [",
        "test, protocol p2 (doc-v1), data ffffffffffffffff",
        "looked at 2 times so far",
    ):
        assert expected in out
    assert "norms" not in out
    assert "\x1b" not in out
    assert out.index("few-steps") < out.index("best ")


def test_ls_counts_findings_and_shows_skill(lvmtui, stored):
    audited(stored)
    stored.finished(0.3)
    title, sound, wrong = lvmtui("ls").out.splitlines()
    assert title.split()[:3] == ["run", "found", "state"]
    assert "✖1 !1" in wrong
    assert "−10.2" in wrong
    assert "▼ −9.0" in wrong
    assert "!" not in sound
    assert "+20.5" in sound


def test_leaderboard_shows_looks_findings_and_test_scores(lvmtui, stored):
    audited(stored)
    out = lvmtui("leaderboard").out
    assert "looked at 2 times so far: the more, the less its scores prove." in out
    assert "✖1 !1" in out
    assert "−9.0 [−12.0, −6.0]  p<.001" in out
    assert "  5.0 [" in out
    assert "own interval" not in out
    (group,) = json.loads(lvmtui("leaderboard", "--json").out)
    row = next(row for row in group["rows"] if row["run_id"])
    assert (row["test_protocol_id"], row["test_n"], row["test_looks"]) == ("p2", 600, 2)
    assert row["verdict"] == "below its baseline"


def test_leaderboard_on_a_common_pool(lvmtui, stored):
    run = stored.finished(0.3)
    assert "Left out" in lvmtui("leaderboard", "--equate", "100").out
    known = QueryFact("candidates", stats.pack_ranks([640] * 600))
    Writer(stored.database, run.id).save_query_facts("p1", [known])
    done = lvmtui("leaderboard", "--equate", "100")
    lines = done.out.splitlines()
    assert lines[0] == "equated to pool 100; other queries and data remain different"
    assert "protocol" in lines[1].split()
    assert "↑ above its baseline" in done.out
    assert "p1" in lines[2].split()
    (group,) = json.loads(lvmtui("leaderboard", "--equate", "100", "--json").out)
    assert {(row["pool"], row["own_pool"], row["extrapolated"]) for row in group["rows"]} == {
        (100, 640, False)
    }
    rows = lvmtui("export", "leaderboard", "--equate", "1000").out.splitlines()
    assert all(",true," in row for row in rows[1:])
    assert "phase-1 #1 x" in lvmtui("leaderboard", "--equate", "1000").out
    refused = lvmtui("leaderboard", "--equate", "3")
    assert (refused.code, refused.out) == (2, "")
    assert "a pool of 3 says nothing" in refused.err


def test_show_json_is_everything(lvmtui, stored):
    stored.finished(0.1, 0.3)
    record = json.loads(lvmtui("show", "1", "--json").out)
    assert record["recipe"]["data"]["context"] == 100
    assert [item["is_best"] for item in record["checkpoints"]] == [False, True]


def test_show_of_a_failed_run_has_the_error_and_no_escape_codes(lvmtui, stored):
    from lvmtui.store.lifecycle import Result
    from lvmtui.store.records import Event

    writer = stored.started(note="\x1b[31m[bold]red[/bold]")
    error = "boom \x1b]0;title\x07\n\nTraceback: [red]markup[/red]"
    writer.finish(Result.FAILED, Event("failed", "boom", time.time()), error=error)
    out = lvmtui("show", "1").out
    assert "Traceback: [red]markup[/red]" in out
    assert "[bold]red[/bold]" in out
    assert "\x1b" not in out


def test_logs_prints_the_log_without_what_a_terminal_would_obey(lvmtui, stored):
    run = stored.new()
    assert lvmtui("logs", "1").code == 1
    log = stored.path.parent / run.folder / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"one\n\x1b[2Jtwo\x07\n 10%\r 90%\n\xff\xfe bad\n\nlast")
    assert lvmtui("logs", "1").out == "one\ntwo\n 90%\n\ufffd\ufffd bad\n\nlast\n"
    assert lvmtui("logs", "1", "-n", "1").out == "last\n"


def test_logs_of_a_folder_outside_the_store_are_refused(lvmtui, stored, tmp_path):
    run = stored.new()
    with stored.database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET folder = '../..' WHERE id = ?", (run.id,))
    done = lvmtui("logs", "1")
    assert done.code == 1
    assert "outside the store's folder" in done.err


def test_logs_follow_ends_with_the_run(lvmtui, stored):
    run = stored.finished(0.1)
    log = stored.path.parent / run.folder / "run.log"
    log.write_text("first\nunfinished")
    assert lvmtui("logs", "1", "-f").out == "first\nunfinished\n"


def test_plot_draws_without_escape_codes_into_a_pipe(lvmtui, stored):
    stored.finished(0.1, 0.2, 0.3)
    done = lvmtui("plot", "1", "--metric", "hit5", "--width", "60", "--height", "10")
    assert done.code == 0
    assert "Hit@5" in done.out
    assert "\x1b" not in done.out
    assert max(map(len, done.out.splitlines())) <= 60


def test_plot_refuses_what_is_not_there(lvmtui, stored):
    stored.new()
    assert "no metrics yet" in lvmtui("plot", "1").err
    stored.finished(0.1)
    done = lvmtui("plot", "2", "--metric", "val/hut5")
    assert done.code == 2
    assert "It has: train/loss, val/hit5." in done.err


def test_leaderboard_ranks_with_baselines_and_counts_the_unjudged(lvmtui, stored):
    stored.finished(0.1, 0.3)
    stored.finished(0.31, phase="phase-2")
    stored.new()
    done = lvmtui("leaderboard")
    lines = done.out.splitlines()
    assert "n 600 · pool 640 · 30 documents · id p1" in lines[0]
    assert lines[1] == "The test split was never looked at so far."
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["1", "phase-2"],
        ["2=", "phase-1"],
        ["-", "ewm"],
        ["-", "copy-last"],
    ]
    assert "may be chance" in lines[7]
    assert lines[8].startswith("All verdicts: by each score's own interval; no comparison with ewm")
    assert "1 more without an evaluation" in done.err
    assert "phase-2" not in lvmtui("leaderboard", "--phase", "phase-1").out
    assert "one seed" in lvmtui("leaderboard", "--by-phase").out


def test_leaderboard_json_carries_what_scores_are_worth(lvmtui, stored):
    stored.finished(0.1, 0.3)
    (group,) = json.loads(lvmtui("leaderboard", "--json").out)
    row = group["rows"][0]
    assert (row["rank"], row["run_id"], row["n"], row["pool"]) == (1, 1, 600, 640)
    assert row["hit5_low"] < row["hit5"] < row["hit5_high"]
    assert (row["protocol_id"], row["data_fingerprint"]) == ("p1", "f" * 16)
    assert group["phases"][0]["seeds"] == 1


def test_leaderboard_of_nothing_says_so(lvmtui, stored):
    stored.new()
    done = lvmtui("leaderboard")
    assert (done.code, done.out) == (0, "")
    assert "No run has been evaluated yet" in done.err
    assert lvmtui("leaderboard", "--json").out == "[]\n"


def test_phases_lists_the_shipped_ones_and_the_users_own_even_broken(lvmtui, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "phases").mkdir()
    (tmp_path / "phases" / "mine.toml").write_text('description = "my own"\n[data]\ncontext = 7\n')
    (tmp_path / "phases" / "wrong.toml").write_text("[train]\nlearning_rate = 1\n")
    out = lvmtui("phases").out
    assert "phase-3" in out
    assert "my own" in out
    assert "unknown field 'train.learning_rate'" in out
    records = {item["phase"]: item for item in json.loads(lvmtui("phases", "--json").out)}
    assert records["mine"]["context"] == 7
    assert "error" in records["wrong"]


def test_doctor_is_content_here_and_sees_a_broken_store(lvmtui, stored):
    done = lvmtui("doctor")
    assert "✔ ok        store: " in done.out
    assert "torch device" in done.out
    stored.database.close()
    stored.path.write_bytes(b"no database at all" * 100)
    done = lvmtui("doctor")
    assert done.code == 1
    assert "✖ broken    store: " in done.out
    checks = json.loads(lvmtui("doctor", "--json").out)
    assert {"name", "passed", "words", "hint", "needed"} == set(checks[0])


@pytest.mark.parametrize("arguments", [["ls"], ["leaderboard"], ["show", "1"], ["stop", "1"]])
def test_a_corrupt_store_is_a_clear_message(lvmtui, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.db").write_bytes(b"no database at all" * 100)
    done = lvmtui(*arguments)
    assert done.code == 1
    assert "not a readable run store" in done.err
