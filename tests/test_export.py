"""Exports: complete, exact, and harmless to whatever opens them."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lvmtui.errors import LvmtuiError, UsageError
from lvmtui.export.csv_rows import LONG_KEYS
from lvmtui.export.text import leaderboard_text, row_keys, run_text, to_csv, write
from lvmtui.findings import Finding
from lvmtui.leaderboard.ranking import leaderboard
from lvmtui.recipe import build
from lvmtui.snapshot import RunView, State
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import (
    Evaluation,
    Event,
    Interval,
    MetricPoint,
    Progress,
    Protocol,
    Run,
    Severity,
    Versus,
)
from lvmtui.versus import KEY, as_details

PROTOCOLS = {
    "p1": Protocol("p1", "doc-v1", "f00d", {"ties": "against"}, "validation", 400, 450, 0.0, 10),
    "p2": Protocol("p2", "doc-v1", "f00d", {}, "test", 390, 440, 0.0, 9),
}
EWM = Evaluation(
    "p1",
    "validation",
    0,
    0,
    0.0,
    0.04,
    0.12,
    0.16,
    0.08,
    400,
    450,
    hit5_interval=Interval(0.1, 0.14),
    baseline="ewm",
)
BEST = replace(
    EWM,
    baseline=None,
    hit5=0.3,
    hit5_interval=Interval(0.28, 0.32),
    epoch=2,
    step=20,
    run_id=1,
    loss=3.5,
    interval_method="bootstrap over 10 documents",
    details={
        "mrr_interval": [0.07, 0.09],
        KEY: as_details([Versus("ewm", 0.18, Interval(0.15, 0.21), 0.0002, detectable=0.03)]),
    },
)
TEST = replace(BEST, split="test", protocol_id="p2", hit5=0.25, n=390, pool=440)
FINDING = Finding("few-steps", "93 | steps in all", Severity.ERROR, "Train longer.")


def view(phase: str = "phase-1", note: str = "") -> RunView:
    recipe = build({"name": "phase-1"})
    run = Run(
        id=1,
        revision=1,
        phase=phase,
        status=Status.DONE,
        result=Result.COMPLETED,
        recipe=recipe.to_json(),
        recipe_hash=recipe.hash,
        overrides={"train.lr": "0.001"},
        seed=0,
        model="gru",
        context=100,
        watch="hit5",
        targets={"hit5": 0.2},
        data="demo",
        folder="runs/1",
        created=0.0,
        progress=Progress(epoch=3, epochs=3, best_epoch=2),
        data_fingerprint="f00d",
        protocol_id="p1",
        note=note,
    )
    return RunView(run, State.COMPLETED, best=BEST, last=BEST, baseline=EWM, test=TEST, findings=(FINDING,))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def board(phase: str = "phase-1"):
    return leaderboard([view(phase)], {"p1": (EWM,)}, PROTOCOLS, {"f00d": 2})


def test_every_row_of_the_leaderboard_carries_what_it_is_worth() -> None:
    rows = rows_of(leaderboard_text(board(), PROTOCOLS, "csv"))
    assert [row["name"] for row in rows] == ["phase-1 #1", "ewm"]
    assert list(rows[0]) == row_keys()
    best = rows[0]
    assert (best["run_id"], best["protocol_id"], best["data_fingerprint"]) == ("1", "p1", "f00d")
    assert (best["n"], best["pool"], best["hit5"], best["hit5_low"]) == ("400", "450", "0.3", "0.28")
    (group,) = json.loads(leaderboard_text(board(), PROTOCOLS, "json"))
    assert list(group["rows"][0]) == row_keys()
    assert group["rows"][0]["hit5"] == 0.3


JUDGED_ON = ("n", "pool", "protocol_id", "data_fingerprint")


def test_no_row_of_a_leaderboard_goes_without_what_it_was_judged_on() -> None:
    run, baseline = rows_of(leaderboard_text(board(), PROTOCOLS, "csv"))
    for row in (run, baseline):
        assert [row[key] for key in JUDGED_ON] == ["400", "450", "p1", "f00d"]
        assert row["hit5_low"]
        assert row["test_looks"] == "2"
    assert run["interval_method"] == "bootstrap over 10 documents"
    assert (run["mrr_low"], run["mrr_high"]) == ("0.07", "0.09")
    assert [run[key] for key in ("gain_low", "gain_high", "gain_p", "gain_detectable")] == [
        "0.15",
        "0.21",
        "0.0002",
        "0.03",
    ]
    assert run["judged_by"] == "paired over the same queries"
    assert float(run["skill"]) == pytest.approx(0.18 / 0.88)
    assert (run["errors"], run["warnings"]) == ("1", "0")
    assert [run[f"test_{key}"] for key in ("hit5", "n", "pool", "protocol_id")] == [
        "0.25",
        "390",
        "440",
        "p2",
    ]
    assert run["test_hit5_low"]


def test_a_group_as_json_says_how_it_was_judged_and_puts_seeds_together() -> None:
    (group,) = json.loads(leaderboard_text(board(), PROTOCOLS, "json"))
    assert (group["protocol_id"], group["data_fingerprint"], group["test_looks"]) == ("p1", "f00d", 2)
    assert "Ties count against the model." in group["protocol"]
    (recipe,) = group["phases"]
    assert (recipe["run_ids"], recipe["seeds"], recipe["hit5_low"]) == ([1], 1, 0.28)
    assert [recipe[key] for key in JUDGED_ON] == [400, 450, "p1", "f00d"]


def test_no_line_of_a_leaderboard_in_markdown_goes_without_either() -> None:
    text = leaderboard_text(board(), PROTOCOLS, "md")
    rows = [line for line in text.splitlines() if line.startswith(("| 1 ", "| - "))]
    assert len(rows) == 2
    for row in rows:
        assert row.rstrip(" |").endswith("| p1 | f00d")
        assert "| 400 | 450 |" in row
    assert "30.0 \\[28.0, 32.0\\]" in rows[0]
    assert ".080 \\[.070, .090\\]" in rows[0]
    assert "+18.0 \\[+15.0, +21.0\\] p&lt;.001 (ewm)" in rows[0]
    assert "error: few-steps" in rows[0]
    assert "(n 390, pool 440, protocol p2)" in rows[0]
    assert "looked at 2 times so far: the more, the less its scores prove." in text
    assert "- Ties count against the model." in text


def test_a_leaderboard_says_first_what_is_wrong() -> None:
    below = replace(BEST, hit5=0.05, hit5_interval=Interval(0.04, 0.06), details={})
    flawed = {"p1": replace(PROTOCOLS["p1"], spec={"flaws": ["Windows | overlap."]})}
    groups = leaderboard([replace(view(), best=below)], {"p1": (EWM,)}, flawed)
    text = leaderboard_text(groups, flawed, "md")
    lines = [line for line in text.splitlines() if line]
    assert lines[2].startswith("## doc-v1 (legacy) on demo")
    assert lines[3] == "Wrong with this protocol: Windows \\| overlap."
    assert lines[4] == "Below its baseline, which needs no training: phase-1 \\#1 (ewm)."
    assert "All verdicts: by each score's own interval" in text
    (group,) = json.loads(leaderboard_text(groups, flawed, "json"))
    assert group["flaws"] == ["Windows | overlap."]
    assert group["rows"][0]["flawed"] is True


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\x1b[0m=1"])
def test_texts_are_no_formulas_in_csv(text: str) -> None:
    (row,) = rows_of(to_csv([{"text": text, "number": -1.5}], ["text", "number"]))
    assert row["text"].startswith("'")
    assert row["number"] == "-1.5"
    assert "\x1b" not in row["text"]


def test_markdown_shows_cells_as_they_are() -> None:
    text = leaderboard_text(board("a|b<script>`*_[x](y)"), PROTOCOLS, "md")
    line = next(line for line in text.splitlines() if line.startswith("| 1 "))
    assert "a\\|b&lt;script>\\`\\*\\_\\[x\\](y)" in line
    assert line.replace("\\|", "").count("|") == 23


def export(kind: str, **values: str) -> str:
    metrics = [
        MetricPoint("train/loss", 10, 1, 5.0, 3.5),
        MetricPoint("train/loss", 20, 2, 6.0, None),
        MetricPoint("val/hit5", 20, 2, 6.0, 0.3),
    ]
    events = [Event("best", "new | best", 6.0)]
    return run_text(
        view(**values),
        PROTOCOLS,
        kind,  # type: ignore[arg-type]
        evaluations=[BEST],
        metrics=metrics,
        events=events,
        looks=2,
    )


def test_a_run_as_json_is_complete() -> None:
    record = json.loads(export("json"))
    assert record["recipe"]["train"]["epochs"] == 50
    assert record["overrides"] == {"train.lr": "0.001"}
    assert [point["value"] for point in record["metrics"]] == [3.5, None, 0.3]
    assert record["evaluations"][0]["hit5_high"] == 0.32
    assert record["events"][0]["message"] == "new | best"
    assert record["baseline"]["name"] == "ewm"
    assert record["worth"]["verdict"] == "exceeds target"
    assert record["worth"]["words"].endswith("against ewm, paired over the same queries")
    assert record["findings"][0]["check"] == "few-steps"
    assert (record["test"]["hit5"], record["test_looks"]) == (0.25, 2)
    assert record["evaluations"][0]["versus"][0]["detectable"] == 0.03
    trained, _, judged = record["metrics"]
    assert [judged[key] for key in ("run_id", "low", "high", *JUDGED_ON)] == [
        *(1, 0.28, 0.32),
        *(400, 450, "p1", "f00d"),
    ]
    assert [trained[key] for key in ("run_id", "low", *JUDGED_ON)] == [1, None, None, None, "p1", "f00d"]


def test_a_run_as_csv_has_a_row_for_each_number() -> None:
    rows = rows_of(export("csv", note="=cmd"))
    assert {row["record"] for row in rows} == {
        *("finding", "verdict", "protocol", "versus", "run", "recipe", "metric", "evaluation", "event")
    }
    assert rows[0]["record"] == "finding"
    for row in rows:
        assert (row["run_id"], row["protocol_id"], row["data_fingerprint"]) == ("1", "p1", "f00d")
    assert list(rows[0]) == list(LONG_KEYS)
    hit5 = next(row for row in rows if row["key"] == "validation/hit5")
    assert (hit5["value"], hit5["low"], hit5["high"], hit5["n"], hit5["pool"]) == (
        "0.3",
        "0.28",
        "0.32",
        "400",
        "450",
    )
    assert next(row for row in rows if row["key"] == "note")["text"] == "'=cmd"
    assert next(row for row in rows if row["key"] == "train.epochs")["text"] == "50"


def test_every_number_judged_on_queries_has_their_count_and_the_pool_in_csv() -> None:
    rows = rows_of(export("csv"))
    judged = [r for r in rows if r["record"] in {"evaluation", "versus", "verdict"} or "val/" in r["key"]]
    assert len(judged) == 7 + 1 + 2 + 1
    assert all((row["n"], row["pool"]) == ("400", "450") for row in judged)
    by_key = {(row["record"], row["key"]): row for row in rows}
    versus = by_key["versus", "validation/hit5"]
    assert [versus[key] for key in ("value", "low", "high", "p", "detectable")] == [
        *("0.18", "0.15", "0.21", "0.0002", "0.03")
    ]
    assert versus["text"] == "minus ewm, context 0"
    metric = by_key["metric", "val/hit5"]
    assert [metric[key] for key in ("value", "low", "high")] == ["0.3", "0.28", "0.32"]
    assert metric["interval_method"] == "bootstrap over 10 documents"
    assert by_key["evaluation", "validation/mrr"]["low"] == "0.07"
    assert by_key["run", "test_looks"]["text"] == "2"
    assert by_key["finding", "few-steps"]["severity"] == "error"


def test_numbers_that_are_none_are_empty_in_csv() -> None:
    (row,) = rows_of(to_csv([{"a": float("nan"), "b": float("inf"), "c": 0.0}], ["a", "b", "c"]))
    assert row == {"a": "", "b": "", "c": "0.0"}


def test_a_report_says_first_what_is_wrong_and_how_it_was_judged() -> None:
    lines = [line for line in export("md").splitlines() if line]
    assert lines[1] == "## What is wrong"
    assert lines[2] == "- error (few-steps): 93 \\| steps in all. Train longer."
    worth = lines[lines.index("## What it is worth") + 1 : lines.index("## How it was judged")]
    assert worth[0].startswith("- Run 1, best evaluation, epoch 2: Hit@1 4.0, Hit@5 30.0 \\[28.0, 32.0\\]")
    assert worth[0].endswith("n 400, pool 450, bootstrap over 10 documents, protocol p1, data f00d.")
    assert worth[1].startswith("- Verdict: ▲ exceeds target: Hit@5 +18.0 \\[+15.0, +21.0\\], p&lt;.001")
    assert worth[2] == "- Skill: +20.5 % of what ewm leaves to gain in Hit@5."
    assert "difference of 3.0 points" in worth[3]
    assert "n 390, pool 440" in worth[4]
    assert "looked at 2 times" in worth[5]
    assert "- Ties count against the model." in lines


def test_a_report_on_a_run_below_its_baseline_begins_with_that() -> None:
    below = replace(BEST, hit5=0.05, hit5_interval=Interval(0.04, 0.06), details={})
    shown = replace(view(), best=below, findings=())
    lines = [line for line in run_text(shown, PROTOCOLS, "md").splitlines() if line]
    assert lines[2] == (
        "- ▼ Below its baseline: Hit@5 −7.0 against ewm, by the score's own interval. "
        "Without training one does better."
    )
    assert not any("looked at" in line for line in lines)
    sound = replace(view(), findings=())
    assert "- Nothing was found." in run_text(sound, PROTOCOLS, "md").splitlines()


def test_every_row_of_a_report_with_scores_carries_what_they_were_judged_on() -> None:
    lines = export("md").splitlines()
    scores = [line for line in lines if line.startswith("| 1 |")]
    assert len(scores) == 2 + 2 + 1
    assert all(line.rstrip(" |").endswith(("| p1 | f00d", "| p2 | f00d")) for line in scores)


def test_a_run_as_markdown_has_every_part() -> None:
    text = export("md")
    for part in ("# phase-1 \\#1", "## Evaluations", "## Metrics", "## Recipe", "## Events", "new \\| best"):
        assert part in text


def test_files_are_replaced_only_by_force_and_never_half_written(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    write(file, "one\n")
    with pytest.raises(UsageError, match="exists already"):
        write(file, "two\n")
    assert file.read_text() == "one\n"
    write(file, "two\n", force=True)
    assert file.read_text() == "two\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    with pytest.raises(UsageError, match="is a folder"):
        write(tmp_path, "x")
    with pytest.raises(LvmtuiError, match="cannot write"):
        write(file / "below", "x")
