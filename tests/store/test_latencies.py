"""Measured latencies in the store: kept as measured, migrated to, and dropped with what they were of."""

import math
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect

from lvmtui.merge import Merge
from lvmtui.store import migrations
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import EpochReport, Evaluation, Interval, Latency, Progress, Run
from lvmtui.store.writer import Writer

Started = Callable[[], tuple[Run, Writer]]
STORES = Path(__file__).parent / "stores"

MEASURED = Latency(
    checkpoint="runs/1/checkpoints/step-00000010.safetensors",
    epoch=1,
    step=10,
    time=100.0,
    host="here",
    device="cpu",
    device_name="a cpu",
    threads=2,
    precision="fp32",
    mode="stream",
    context=1000,
    warmup=15,
    n=200,
    pool=120,
    top=10,
    p50=0.002,
    p95=0.003,
    p99=0.004,
    load=0.5,
    protocol_id="p1",
    judged=100,
    hit1=0.1,
    hit5=0.2,
    hit10=0.3,
    versions={"torch": "2.13.0"},
)
REFUSED = replace(
    MEASURED,
    precision="int8",
    context=0,
    n=0,
    p50=None,
    p95=None,
    p99=None,
    hit5_change=-0.01,
    hit5_change_interval=Interval(-0.02, -0.005),
    refused="it loses 1.0 points of Hit@5",
)


def evaluation(step: int) -> Evaluation:
    return Evaluation("p1", "validation", step // 10, step, float(step), 0.1, 0.2, 0.3, 0.15, 100, 120)


def old_store(path: Path, version: int) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript((STORES / f"v{version}.sql").read_text())
    connection.close()
    return path


def test_what_was_measured_comes_back(database: Database, started: Started) -> None:
    run, writer = started()
    other, others = started()
    writer.save_latencies([MEASURED, REFUSED])
    others.save_latencies([replace(MEASURED, load=None, p99=math.nan)])
    writer.save_latencies([])
    reader = Reader(database)
    first, second, third = reader.latencies()
    assert replace(first, id=0, run_id=0) == MEASURED
    assert replace(second, id=0, run_id=0) == REFUSED
    assert (third.run_id, third.load, third.p99) == (other.id, None, None)
    assert reader.latencies(after=second.id) == [third]
    assert reader.latencies(run_id=run.id) == [first, second]
    assert reader.run(run.id).revision > run.revision


def test_half_a_bench_is_not_kept(database: Database, started: Started) -> None:
    _, writer = started()
    with pytest.raises(Exception, match="NOT NULL"):
        writer.save_latencies([MEASURED, replace(MEASURED, n=None)])  # type: ignore[arg-type]
    assert Reader(database).latencies() == []


def test_a_resumed_run_forgets_measurements_of_what_it_takes_back(
    database: Database, started: Started
) -> None:
    _, writer = started()
    writer.save_latencies([MEASURED, replace(MEASURED, step=20, epoch=2)])
    writer.rewind(10)
    assert [item.step for item in Reader(database).latencies()] == [10]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("read_only", [False, True])
def test_an_older_store_gets_the_table(tmp_path: Path, version: int, read_only: bool) -> None:
    path = old_store(tmp_path / "runs.db", version)
    database = Database.open(path, create=False, read_only=read_only)
    assert Reader(database).latencies() == []
    database.close()
    again = Database.open(path)
    Writer(again, 1).save_latencies([MEASURED])
    assert len(Reader(again).latencies(run_id=1)) == 1
    again.close()


def test_a_store_of_this_version_opens_with_its_measurements(tmp_path: Path) -> None:
    database = Database.open(old_store(tmp_path / "runs.db", 3))
    measured, refused = Reader(database).latencies(run_id=1)
    assert (measured.p95, measured.threads, measured.hit5) == (0.003, 2, 0.2)
    assert (refused.p95, refused.refused) == (None, "it loses 1.0 points of Hit@5")
    assert refused.hit5_change_interval == Interval(-0.02, -0.005)
    database.close()


def test_a_migration_that_fails_leaves_the_old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_store(tmp_path / "runs.db", 2)
    *before, last = migrations.MIGRATIONS

    def fail(connection: object) -> None:
        last.apply(connection)  # type: ignore[arg-type]
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", (*before, replace(last, apply=fail)))
        with pytest.raises(RuntimeError, match="the power went"):
            Database.open(path)
    connection = sqlite3.connect(path)
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    versions = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    connection.close()
    assert "latency" not in names
    assert versions == (2,)
    database = Database.open(path)
    with database.read() as view:
        assert "latency" in inspect(view).get_table_names()
    database.close()


def test_the_dashboard_takes_them_up_as_they_come(database: Database, started: Started) -> None:
    run, writer = started()
    merge = Merge(Reader(database))

    def look() -> tuple[Latency | None, int]:
        merge.read(0.0)
        merge.read_details([run.id])
        snapshot = merge.build([run.id], 0.0)
        return snapshot.runs[0].latency, len(snapshot.details[run.id].latencies)

    progress = Progress(epoch=1, epochs=3, step=10, best_value=0.2, best_epoch=1)
    writer.epoch(EpochReport(progress, evaluation=evaluation(10)))
    assert look() == (None, 0)
    writer.save_latencies([MEASURED, REFUSED])
    shown, count = look()
    assert shown is not None
    assert (shown.p95, count) == (0.003, 2)
    writer.epoch(EpochReport(replace(progress, epoch=2, step=20, best_epoch=2), evaluation=evaluation(20)))
    assert look() == (None, 2), "the best checkpoint is another now"
    writer.save_latencies([replace(MEASURED, epoch=2, step=20, time=200.0, p95=0.005)])
    shown, count = look()
    assert shown is not None
    assert (shown.p95, count) == (0.005, 3)
