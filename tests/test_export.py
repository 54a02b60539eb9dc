"""Exports: complete, exact, and harmless to whatever opens them."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lvmtui.errors import LvmtuiError, UsageError
from lvmtui.export import leaderboard_text, row_keys, run_text, to_csv, write
from lvmtui.ranking import leaderboard
from lvmtui.recipe import build
from lvmtui.snapshot import RunView, State
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Evaluation, Event, Interval, MetricPoint, Progress, Protocol, Run

PROTOCOLS = {"p1": Protocol("p1", "doc-v1", "f00d", {}, "validation", 400, 450, 0.0, 10)}
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
    EWM, baseline=None, hit5=0.3, hit5_interval=Interval(0.28, 0.32), epoch=2, step=20, run_id=1, loss=3.5
)


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
    return RunView(run, State.COMPLETED, best=BEST, last=BEST, baseline=EWM)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def board(phase: str = "phase-1"):
    return leaderboard([view(phase)], {"p1": (EWM,)}, PROTOCOLS)


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
    markdown = leaderboard_text(board(), PROTOCOLS, "md")
    assert "30.0 \\[28.0, 32.0\\]" in markdown
    assert "data fingerprint f00d" in markdown


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\x1b[0m=1"])
def test_texts_are_no_formulas_in_csv(text: str) -> None:
    (row,) = rows_of(to_csv([{"text": text, "number": -1.5}], ["text", "number"]))
    assert row["text"].startswith("'")
    assert row["number"] == "-1.5"
    assert "\x1b" not in row["text"]


def test_markdown_shows_cells_as_they_are() -> None:
    text = leaderboard_text(board("a|b<script>`*_[x](y)"), PROTOCOLS, "md")
    line = next(line for line in text.splitlines() if "script" in line)
    assert "a\\|b&lt;script>\\`\\*\\_\\[x\\](y)" in line
    assert line.replace("\\|", "").count("|") == 15


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
    )


def test_a_run_as_json_is_complete() -> None:
    record = json.loads(export("json"))
    assert record["recipe"]["train"]["epochs"] == 50
    assert record["overrides"] == {"train.lr": "0.001"}
    assert [point["value"] for point in record["metrics"]] == [3.5, None, 0.3]
    assert record["evaluations"][0]["hit5_high"] == 0.32
    assert record["events"][0]["message"] == "new | best"
    assert record["baseline"]["name"] == "ewm"


def test_a_run_as_csv_has_a_row_for_each_number() -> None:
    rows = rows_of(export("csv", note="=cmd"))
    assert {row["record"] for row in rows} == {"run", "recipe", "metric", "evaluation", "event"}
    assert all(row["run_id"] == "1" and row["protocol_id"] == "p1" for row in rows)
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
