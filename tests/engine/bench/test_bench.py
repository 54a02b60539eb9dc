"""Measuring a run that was really trained: what is stored, what is refused, and that both ways to an answer
give the same one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.bench import bench as benching
from engine.bench.bench import Benched, bench_run
from engine.bench.plan import MOST_LOST, Plan
from engine.bench.quality import Change, Quality, quality_of
from engine.bench.told import bench_lines, bench_record, ratios
from engine.data.vectors import open_vectors
from engine.infer import Pool, load, precision
from lvmtui.errors import CheckpointError, IllegalTransition, RunNotFound, UsageError
from lvmtui.latencies import headline
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Interval, Latency
from tests.engine.bench.conftest import ROWS, queue

QUICK = Plan(contexts=(5, 50), precisions=("fp32", "int8"), queries=10, threads=1, device="cpu")


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """An int8 that rounds every weight, and to -1, 0 and 1 only: it truly loses."""

    def to_three(rows: Tensor) -> tuple[Tensor, Tensor]:
        scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-20)
        return (rows / scale).round().to(torch.int8), scale

    monkeypatch.setattr(precision, "LEAST", 1)
    monkeypatch.setattr(precision, "_to_int8", to_three)


def test_every_line_is_measured_and_stored(store: Database) -> None:
    stages: list[str] = []
    reader = Reader(store)
    before = reader.run(1)
    benched = bench_run(store, 1, QUICK, progress=lambda stage, done, total: stages.append(stage))
    stored = reader.latencies(run_id=1)
    assert [replace(item, id=0, run_id=0) for item in stored] == list(benched.latencies)
    assert {(item.precision, item.mode, item.context) for item in stored} == {
        (name, mode, length)
        for name in ("fp32", "int8")
        for mode in ("stream", "encode")
        for length in (5, 50)
    }
    best = reader.best_evaluation(before)
    assert best is not None
    for item in stored:
        assert item.p50 is not None
        assert 0 < item.p50 <= (item.p95 or 0) <= (item.p99 or 0)
        assert (item.n, item.warmup, item.pool, item.top, item.threads) == (10, 15, best.pool, 10, 1)
        assert (item.hit1, item.hit5, item.hit10) == pytest.approx(
            (best.hit1, best.hit5, best.hit10), abs=0.05
        )
        assert (item.epoch, item.step) == (best.epoch, best.step)
        assert item.device_name
        assert item.versions["torch"] == torch.__version__
    assert (stored[0].hit5, stored[0].hit5_change) == (best.hit5, None)
    assert benched.reproduced == f"all {best.n} ranks are those that training stored"
    assert headline(stored, best) in stored
    after = reader.run(1)
    assert replace(after, revision=0) == replace(before, revision=0), "the run itself stays as it was"
    assert after.revision > before.revision
    assert any("judging int8" in stage for stage in stages)


def test_a_precision_that_loses_too_much_is_refused(store: Database, coarse: None) -> None:
    benched = bench_run(store, 1, QUICK)
    timed = [item for item in benched.latencies if not item.refused]
    (refused,) = [item for item in benched.latencies if item.refused]
    assert {item.precision for item in timed} == {"fp32"}
    assert (refused.precision, refused.p50, refused.n, refused.context) == ("int8", None, 0, 0)
    change, bounds = refused.hit5_change, refused.hit5_change_interval
    assert change is not None
    assert change < -0.005
    assert refused.hit5 == pytest.approx((timed[0].hit5 or 0) + change)
    assert bounds is not None
    assert bounds.low <= change <= bounds.high
    assert refused.refused.startswith("it loses ")
    assert refused.refused.endswith("points of Hit@5 on validation against fp32; at most 0.5 are allowed")
    assert any(line.startswith("int8 refused: it loses ") for line in bench_lines(benched))
    assert [item.refused for item in Reader(store).latencies() if item.refused] == [refused.refused]


def test_streaming_and_re_encoding_give_the_same_answers(store: Database, trained: Path) -> None:
    row = next(item for item in Reader(store).checkpoints(1) if item.is_best)
    predictor = load(store.location.root / row.path)
    stream = np.asarray(open_vectors(trained / "vectors").vectors[:80], np.float32)
    pool = Pool(stream)
    for length, series in benching._streaming(predictor, pool, stream, (5, 50)).items():
        for _ in range(2):
            series.begin()
            for number in range(3):
                expected = pool.search(predictor.predict(stream[: length + 2 + number]), 10).rows.tolist()
                assert series.query(number) == expected
        encoding = benching._encoding(predictor, pool, stream, length)
        assert encoding.query(1) == pool.search(predictor.predict(stream[1 : length + 1]), 10).rows.tolist()
        assert isinstance(encoding.query(10_000), list), "starts go round where the data end"


def test_fp32_is_the_reference_even_where_it_is_not_measured(store: Database) -> None:
    found = bench_run(store, 1, replace(QUICK, precisions=("bf16",), contexts=(5,), pool=7)).latencies
    assert {item.precision for item in found} == {"bf16"}
    assert all(item.hit5_change is not None for item in found)
    assert {(item.pool, item.top) for item in found} == {(7, 7)}


def test_the_bound_is_on_the_loss_alone() -> None:
    gained = Quality((0.1, 0.21, 0.3), (Change(0.0, None), Change(0.01, None), Change(0.0, None)))
    lost = replace(
        gained, changes=(Change(0.0, None), Change(-0.0051, Interval(-0.01, 0.001)), Change(0.0, None))
    )
    assert gained.lost == -0.01
    assert lost.lost > MOST_LOST
    assert benching._why(lost, MOST_LOST).startswith("it loses 0.5 [-0.1, 1.0] points of Hit@5")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (replace(QUICK, contexts=(ROWS + 1,)), f"a context of {ROWS + 1} cannot be measured"),
        (replace(QUICK, pool=ROWS + 1), f"a pool of {ROWS + 1} cannot be searched"),
        (replace(QUICK, precisions=("fp16",)), "fp16 is not measured on a processor"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_nothing_stored(
    store: Database, plan: Plan, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        bench_run(store, 1, plan)
    assert Reader(store).latencies() == []


def test_runs_without_anything_to_measure_are_refused(store: Database, trained: Path) -> None:
    with pytest.raises(RunNotFound):
        bench_run(store, 99, QUICK)
    waiting = queue(store, trained / "vectors")
    with pytest.raises(IllegalTransition, match="queued"):
        bench_run(store, waiting, QUICK)
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoint")
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        bench_run(store, 1, QUICK)


def test_a_damaged_checkpoint_is_refused(store: Database) -> None:
    row = next(item for item in Reader(store).checkpoints(1) if item.is_best)
    path = store.location.root / row.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError):
        bench_run(store, 1, QUICK)
    path.unlink()
    with pytest.raises(CheckpointError):
        bench_run(store, 1, QUICK)


def test_other_data_than_it_was_trained_on_are_refused(
    store: Database, tmp_path: Path, trained: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained / "vectors", other)
    vectors = np.load(other / "vectors.npy")
    vectors[0] = -vectors[0]
    np.save(other / "vectors.npy", vectors)
    recipe = Reader(store).run(1).recipe.replace(str(trained / "vectors"), str(other))
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE run SET recipe = ?", (recipe,))
    with pytest.raises(CheckpointError, match="data"):
        bench_run(store, 1, QUICK)
    assert Reader(store).latencies() == []


def test_an_interruption_stores_nothing(store: Database) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage.startswith("measuring, block 2") and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_run(store, 1, QUICK, progress=interrupt)
    assert Reader(store).latencies() == []


def test_a_single_document_gives_no_interval() -> None:
    ranks, reference = np.array([1, 9, 2, 30], np.uint32), np.array([1, 2, 2, 30], np.uint32)
    alone = quality_of(ranks, reference, np.zeros(4, np.int64))
    assert (alone.lost, alone.changes[1].interval) == (0.25, None)
    several = quality_of(ranks, reference, np.array([0, 0, 1, 1]))
    assert several.changes[1].interval is not None
    assert quality_of(reference, None, np.zeros(4, np.int64)).lost == 0.0


def told(store: Database, *latencies: Latency, cores: int = 2) -> Benched:
    return Benched(Reader(store).run(1), latencies, "all 4 ranks are those that training stored", cores)


def test_it_is_said_how_the_figures_must_be_read(store: Database) -> None:
    measured = Latency(
        checkpoint="x",
        epoch=1,
        step=12,
        time=1.0,
        host="box",
        device="cpu",
        device_name="a cpu",
        threads=1,
        precision="fp32",
        mode="stream",
        context=5,
        warmup=15,
        n=10,
        pool=48,
        top=10,
        p50=0.002,
        p95=0.003,
        p99=0.004,
        load=1.5,
    )
    busy = [measured, replace(measured, mode="encode", p50=0.25)]
    lines = bench_lines(told(store, *busy))
    assert lines[0] == (
        "small #1: cpu a cpu, 1 thread, on box; load before 1.5; checkpoint of epoch 1; top 10 of 48"
    )
    assert "fp32: re-encoding 5 vectors takes 125 times as long as streaming (P50)" in lines
    assert lines[-1].startswith("! the machine was busy with other things (load 1.5 on 2 cores)")
    calm = [replace(item, load=0.1) for item in busy]
    assert not bench_lines(told(store, *calm))[-1].startswith("!")
    assert list(ratios(busy[:1])) == []
    record = json.loads(json.dumps(bench_record(told(store, *busy))))
    assert [item["mode"] for item in record["latencies"]] == ["stream", "encode"]
    assert "id" not in record["latencies"][0]
