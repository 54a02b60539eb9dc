"""Which measurement stands for a run, and how measurements are written."""

import csv
import io
import json
from dataclasses import replace

import pytest

from lvmtui.export.csv_rows import LONG_KEYS
from lvmtui.export.text import leaderboard_text, run_text
from lvmtui.latencies import (
    benches,
    circumstances,
    footnote,
    headline,
    milliseconds,
    places,
    refusals,
    short_place,
)
from lvmtui.leaderboard.ranking import leaderboard
from lvmtui.store.records import Evaluation, Interval, Latency
from tests.tui import snapshots

BEST = Evaluation("p1", "validation", 3, 30, 1.0, 0.1, 0.2, 0.3, 0.15, 100, 120)
ONE = Latency(
    checkpoint="runs/1/x",
    epoch=3,
    step=30,
    time=100.0,
    host="box",
    device="cpu",
    device_name="a cpu",
    threads=2,
    precision="fp32",
    mode="stream",
    context=100,
    warmup=15,
    n=200,
    pool=4802,
    top=10,
    p50=0.001,
    p95=0.002,
    p99=0.003,
    load=0.25,
    hit1=0.1,
    hit5=0.2,
    hit10=0.3,
)
GPU = replace(ONE, device="cuda:0 NVIDIA H200", device_name="a cpu", p95=0.0004)
REFUSED = replace(
    ONE,
    precision="int8",
    context=0,
    n=0,
    p50=None,
    p95=None,
    p99=None,
    hit5_change=-0.01,
    hit5_change_interval=Interval(-0.02, -0.005),
    refused="it loses 1.0 [0.5, 2.0] points of Hit@5",
)


def test_the_slowest_context_of_the_newest_bench_stands_for_the_run() -> None:
    slow = replace(ONE, context=1000, p95=0.004)
    older = replace(ONE, time=50.0, p95=0.009)
    assert headline([older, ONE, slow], BEST) == slow


@pytest.mark.parametrize(
    "other",
    [
        {"mode": "encode"},
        {"precision": "bf16"},
        {"epoch": 2},
        {"step": 31},
        {"p95": None},
    ],
)
def test_nothing_else_stands_for_it(other: dict[str, object]) -> None:
    assert headline([replace(ONE, **other)], BEST) is None  # type: ignore[arg-type]
    assert headline([ONE], None) is None


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0.000"),
        (0.000123, "0.123"),
        (0.00193, "1.93"),
        (0.0099949, "9.99"),
        (0.012345, "12.3"),
        (0.306, "306"),
        (12.0, "12000"),
    ],
)
def test_milliseconds_have_three_digits(seconds: float | None, written: str) -> None:
    assert milliseconds(seconds) == written


def test_the_place_is_device_threads_and_host() -> None:
    assert short_place(ONE) == "cpu×2"
    assert short_place(GPU) == "cuda:0"
    assert places([ONE, GPU, replace(ONE, threads=1)]) == [
        "cpu a cpu, 2 threads, on box",
        "cuda:0 NVIDIA H200, 2 threads, on box",
        "cpu a cpu, 1 thread, on box",
    ]


def test_the_footnote_says_that_places_differ() -> None:
    assert footnote([]) == ""
    assert footnote([ONE, replace(ONE, p95=1.0)]) == (
        "p95: milliseconds from one more vector to the 10 nearest of 4 802, streaming in fp32, measured on "
        "cpu a cpu, 2 threads, on box."
    )
    mixed = footnote([ONE, GPU])
    assert "not comparable. cpu×2: cpu a cpu, 2 threads, on box; cuda:0: cuda:0 NVIDIA H200" in mixed
    assert "nearest of each run's own pool" in footnote([ONE, replace(ONE, pool=9)])


def test_benches_stand_apart() -> None:
    later = replace(ONE, time=200.0, load=None)
    assert benches([ONE, later, REFUSED]) == [[later], [ONE, REFUSED]]
    assert circumstances([ONE]) == (
        "cpu a cpu, 2 threads, on box; load before 0.2; checkpoint of epoch 3; top 10 of 4 802"
    )
    assert "load" not in circumstances([later])


def test_a_refusal_holds_until_the_next_bench() -> None:
    assert refusals([REFUSED]) == ["int8 refused: it loses 1.0 [0.5, 2.0] points of Hit@5"]
    assert refusals([REFUSED, replace(REFUSED, refused="", p95=0.1)]) == []


def board_with(latency: Latency):
    snapshot = snapshots.snapshot()
    views = [replace(view, latency=latency) if view.run.id == 17 else view for view in snapshot.runs]
    return leaderboard(views, snapshot.baselines, snapshot.protocols), snapshot.protocols


def test_the_leaderboard_is_exported_with_latency_and_place() -> None:
    groups, protocols = board_with(ONE)
    rows = {
        row["run_id"]: row
        for group in json.loads(leaderboard_text(groups, protocols, "json"))
        for row in group["rows"]
    }
    assert (rows[17]["latency_p95"], rows[17]["latency_device"], rows[17]["latency_threads"]) == (
        0.002,
        "cpu",
        2,
    )
    assert rows[16]["latency_p95"] is None
    table = {
        row["run_id"]: row for row in csv.DictReader(io.StringIO(leaderboard_text(groups, protocols, "csv")))
    }
    assert (table["17"]["latency_p95"], table["17"]["latency_context"]) == ("0.002", "100")
    assert table["16"]["latency_p95"] == ""
    markdown = leaderboard_text(groups, protocols, "md")
    assert "| 2.00 (cpu×2) |" in markdown
    assert "p95: milliseconds from one more vector to the 10 nearest of 4 802" in markdown


def test_without_a_measurement_there_is_no_figure_and_no_footnote() -> None:
    snapshot = snapshots.snapshot()
    views = [replace(view, latency=None) for view in snapshot.runs]
    groups, protocols = leaderboard(views, snapshot.baselines, snapshot.protocols), snapshot.protocols
    assert "milliseconds from" not in leaderboard_text(groups, protocols, "md")
    assert all(row.latency is None for group in groups for row in group.rows)


def test_a_run_is_exported_with_all_its_measurements() -> None:
    snapshot = snapshots.snapshot()
    view = replace(snapshot.runs[1], latency=ONE)
    evil = replace(ONE, device_name="<b>|`x`", mode="encode", hit5_change=-0.002)
    latencies = [ONE, evil, REFUSED]
    record = json.loads(run_text(view, snapshot.protocols, "json", latencies=latencies))
    assert [item["mode"] for item in record["latencies"]] == ["stream", "encode", "stream"]
    assert record["latency"]["p95"] == 0.002
    assert record["latencies"][2]["hit5_change_interval"] == {"low": -0.02, "high": -0.005}

    text = run_text(view, snapshot.protocols, "csv", latencies=latencies)
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["record"] == "latency"]
    assert set(rows[0]) == set(LONG_KEYS)
    found = {row["key"]: row for row in rows}
    assert found["stream/fp32/p95"]["value"] == "0.002"
    assert found["stream/int8/refused"]["text"].startswith("it loses 1.0")
    assert (found["stream/int8/hit5_change"]["low"], found["stream/int8/hit5_change"]["text"]) == (
        "-0.02",
        "minus fp32",
    )

    markdown = run_text(view, snapshot.protocols, "md", latencies=latencies)
    assert "int8 refused: it loses 1.0 \\[0.5, 2.0\\] points of Hit@5." in markdown
    assert "&lt;b>\\|\\`x\\`" in markdown
    assert "## Latency" not in run_text(view, snapshot.protocols, "md")
