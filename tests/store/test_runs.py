"""What engines write and the dashboard reads."""

import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from lvmtui.errors import CheckpointError, IllegalTransition, RunNotFound
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import (
    Checkpoint,
    DeviceSample,
    EpochReport,
    Evaluation,
    Event,
    Interval,
    MetricPoint,
    NewRun,
    Progress,
    Protocol,
    Run,
    RunFacts,
)
from lvmtui.store.writer import DEVICE_HISTORY_SECONDS, Writer

Started = Callable[[], tuple[Run, Writer]]


def evaluation(step: int, hit5: float = 0.2, baseline: str | None = None) -> Evaluation:
    return Evaluation(
        protocol_id="p1",
        split="validation",
        epoch=step // 10,
        step=step,
        time=float(step),
        hit1=0.1,
        hit5=hit5,
        hit10=0.3,
        mrr=0.15,
        n=100,
        pool=120,
        hit5_interval=Interval(0.19, 0.21),
        interval_method="bootstrap over documents",
        ranks=b"ranks",
        baseline=baseline,
        details={"rate": 0.5, "bad": math.nan},
    )


def checkpoint(step: int, *, best: bool = True) -> Checkpoint:
    return Checkpoint(f"runs/1/checkpoints/step-{step}", step // 10, step, 1.0, "sha", 10, best, True, 0.2)


def event(kind: str = "stopped") -> Event:
    return Event(kind, "what happened", time.time())


def test_a_run_goes_from_queued_to_done(database: Database, started: Started) -> None:
    run, writer = started()
    assert (run.name, run.status, run.attempt) == ("phase-1 #1", Status.RUNNING, 1)
    assert run.overrides == {"train.lr": "0.001"}
    writer.finish(Result.COMPLETED, event("completed"))
    done = Reader(database).run(run.id)
    assert (done.status, done.result) == (Status.DONE, Result.COMPLETED)
    assert done.ended is not None
    assert done.active_seconds >= 0
    with pytest.raises(IllegalTransition):
        writer.finish(Result.FAILED, event())


def test_stores_in_one_folder_share_no_run_folder(database: Database, new_run: NewRun, store: Path) -> None:
    other = Database.open(store.with_name("other.db"))
    try:
        group = Controller(other).create_group([new_run, new_run], "both")
        runs = [Controller(database).create_run(new_run) for _ in range(3)]
    finally:
        other.close()
    assert [run.folder for run in group] == ["runs/1", "runs/2"]
    assert [run.folder for run in runs] == ["runs/1-2", "runs/2-2", "runs/3"]
    assert all((store.parent / run.folder).is_dir() for run in runs)


def test_an_epoch_is_stored_whole_or_not_at_all(database: Database, started: Started) -> None:
    run, writer = started()
    bad = MetricPoint("val/hit5", 10, 1.0, 1.0, 0.2)
    nameless = replace(checkpoint(10), sha256=None)
    broken = EpochReport(Progress(epoch=1), (bad,), evaluation(10), nameless)
    with pytest.raises(Exception, match="NOT NULL"):
        writer.epoch(broken)
    reader = Reader(database)
    assert (reader.metrics(run.id), reader.evaluations(run.id), reader.run(run.id).progress.epoch) == (
        [],
        [],
        0,
    )

    writer.epoch(
        EpochReport(Progress(epoch=1, best_value=0.2, best_epoch=1), (bad,), evaluation(10), checkpoint(10))
    )
    assert reader.best_evaluation(reader.run(run.id)) == reader.evaluations(run.id)[0]
    assert [c.is_best for c in reader.checkpoints(run.id)] == [True]


def test_what_is_not_finite_is_stored_as_null(database: Database, started: Started) -> None:
    run, writer = started()
    values = [1.0, math.nan, math.inf, -math.inf]
    writer.metrics([MetricPoint("train/loss", i, 0.0, 1.0, v) for i, v in enumerate(values)])
    writer.epoch(EpochReport(Progress(best_value=math.nan), evaluation=evaluation(10)))
    reader = Reader(database)
    assert [point.value for point in reader.metrics(run.id)] == [1.0, None, None, None]
    assert reader.run(run.id).progress.best_value is None
    assert reader.evaluations(run.id)[0].details == {"rate": 0.5, "bad": None}


def test_records_come_back_as_they_were_written(database: Database, started: Started) -> None:
    run, writer = started()
    writer.epoch(EpochReport(Progress(), evaluation=evaluation(10)))
    read = Reader(database).evaluations(run.id)[0]
    assert read.hit5_interval == Interval(0.19, 0.21)
    assert read.hit1_interval is None
    assert read.ranks == b"ranks"
    assert Reader(database).all_evaluations()[0].ranks == b""


def test_readers_ask_only_for_what_is_new(database: Database, started: Started) -> None:
    reader = Reader(database)
    first, writer = started()
    seen = max(run.revision for run in reader.runs())
    assert reader.runs(after_revision=seen) == []
    second, _ = started()
    assert [run.id for run in reader.runs(after_revision=seen)] == [second.id]
    seen = max(run.revision for run in reader.runs())
    writer.metrics([MetricPoint("train/loss", 1, 0.0, 1.0, 1.0)])
    assert [run.id for run in reader.runs(after_revision=seen)] == [first.id]
    last = reader.metrics(first.id)[-1].id
    assert reader.metrics(first.id, after=last) == []


def test_rewinding_drops_what_came_after_the_checkpoint(database: Database, started: Started) -> None:
    run, writer = started()
    for step in (10, 20):
        writer.metrics([MetricPoint("train/loss", step + i, 0.0, 1.0, 1.0) for i in (-1, 0, 1)])
        writer.epoch(EpochReport(Progress(), evaluation=evaluation(step), checkpoint=checkpoint(step)))
    writer.rewind(10)
    reader = Reader(database)
    assert [p.step for p in reader.metrics(run.id)] == [9, 10]
    assert [e.step for e in reader.evaluations(run.id)] == [10]
    assert [c.step for c in reader.checkpoints(run.id)] == [10]


def test_only_one_checkpoint_is_best_and_one_is_last(database: Database, started: Started) -> None:
    run, writer = started()
    for step, best in ((10, True), (20, True), (30, False)):
        writer.checkpoint(checkpoint(step, best=best))
    kept = Reader(database).checkpoints(run.id)
    assert [(c.step, c.is_best, c.is_last) for c in kept] == [
        (10, False, False),
        (20, True, False),
        (30, False, True),
    ]
    old = writer.superseded_checkpoints()
    assert [c.step for c in old] == [10]
    writer.forget_checkpoints([c.id for c in old])
    assert [c.step for c in Reader(database).checkpoints(run.id)] == [20, 30]


def test_promoted_checkpoints_are_kept(database: Database, started: Started) -> None:
    run, writer = started()
    control = Controller(database)
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        control.promote(run.id)
    writer.checkpoint(checkpoint(10))
    control.promote(run.id, gates={"beats baseline": True})
    writer.checkpoint(checkpoint(20))
    assert writer.superseded_checkpoints() == []
    control.promote(run.id)
    log = Reader(database).promotions()
    assert [p.alias for p in log] == ["champion", "champion"]
    assert log[0].checkpoint_id != log[1].checkpoint_id
    assert log[0].gates == {"beats baseline": True}


def test_a_stop_request_reaches_the_engine_once(database: Database, started: Started) -> None:
    run, writer = started()
    Controller(database).request_stop(run.id)
    assert [c.run_id for c in Reader(database).pending_controls()] == [run.id]
    assert len(writer.pending()) == 1
    writer.acknowledge_stop()
    assert writer.pending() == []
    assert writer.run().status is Status.STOPPING
    with pytest.raises(IllegalTransition, match="cannot be stopped: it is stopping"):
        Controller(database).request_stop(run.id)


def test_a_queued_run_without_a_process_stops_at_once(database: Database, new_run: NewRun) -> None:
    control = Controller(database)
    run = control.create_run(new_run)
    assert control.request_stop(run.id).result is Result.STOPPED


def test_lost_runs_can_be_resumed_and_finished_ones_cannot(database: Database, started: Started) -> None:
    control = Controller(database)
    lost, _ = started()
    assert control.mark_lost(lost, "process 1 is gone")
    assert not control.mark_lost(lost, "said twice")
    resumed = control.requeue(lost.id)
    assert (resumed.status, resumed.result, resumed.pid) == (Status.QUEUED, None, None)
    messages = [e.message for e in Reader(database).events(run_id=lost.id) if e.kind == "lost"]
    assert messages == ["lost: process 1 is gone"]

    finished, writer = started()
    writer.finish(Result.EARLY_STOPPED, event())
    with pytest.raises(IllegalTransition, match="cannot be resumed: it is early stopped"):
        control.requeue(finished.id)
    running, _ = started()
    with pytest.raises(IllegalTransition, match=r"running \(pid 1 on here\)"):
        control.requeue(running.id)


def test_a_run_taken_up_again_is_not_lost_by_an_old_observation(database: Database, started: Started) -> None:
    control = Controller(database)
    seen, writer = started()
    control.mark_lost(seen, "process 1 is gone")
    control.requeue(seen.id)
    writer.start(pid=2, process_started=2.0, host="here")
    assert not control.mark_lost(seen, "process 1 is gone")
    assert writer.run().status is Status.STARTING


def test_a_resume_forgets_stop_requests_that_came_too_late(database: Database, started: Started) -> None:
    run, writer = started()
    control = Controller(database)
    control.request_stop(run.id)
    control.mark_lost(run, "gone")
    control.requeue(run.id)
    assert writer.pending() == []


def test_a_failed_spawn_is_recorded(database: Database, new_run: NewRun) -> None:
    control = Controller(database)
    run = control.create_run(new_run)
    control.spawn_failed(run.id, "no such program")
    assert Reader(database).run(run.id).error == "no such program"
    assert Reader(database).events(run_id=run.id)[-1].severity == "error"


def test_a_second_process_cannot_take_the_same_run(database: Database, started: Started) -> None:
    _, writer = started()
    with pytest.raises(IllegalTransition):
        writer.start(pid=2, process_started=2.0, host="here")


@pytest.mark.parametrize("name", ["1", "#1", "phase-1 #1", "phase-1#1", " last "])
def test_runs_are_found_as_people_name_them(database: Database, started: Started, name: str) -> None:
    started()
    assert Reader(database).resolve(name).id == 1


@pytest.mark.parametrize("name", ["", "2", "phase-2 #1", "one", "²", "9" * 30, "-1"])
def test_unknown_runs_are_answered_with_the_newest(database: Database, started: Started, name: str) -> None:
    started()
    with pytest.raises(RunNotFound) as raised:
        Reader(database).resolve(name)
    assert "phase-1 #1" in raised.value.hint


def test_baselines_and_protocols_are_written_once(database: Database, started: Started) -> None:
    _, writer = started()
    protocol = Protocol("p1", "doc-v1", "f", {"split_seed": 0}, "validation", 100, 120, 0.01, 9, b"groups")
    for hit5 in (0.3, 0.9):
        writer.save_protocol(protocol)
        writer.save_baseline(evaluation(0, hit5=hit5, baseline="ewm"))
    writer.save_baseline(evaluation(0, hit5=0.1, baseline="copy-last"))
    reader = Reader(database)
    assert [(b.baseline, b.hit5, b.run_id) for b in reader.baselines("p1")] == [
        ("copy-last", 0.1, None),
        ("ewm", 0.3, None),
    ]
    assert reader.protocols() == [protocol]


def test_device_samples_keep_absent_sensors_absent_and_grow_old(database: Database, started: Started) -> None:
    run, writer = started()
    old = DeviceSample("here", "cpu", "a cpu", 1.0)
    new = DeviceSample("here", "cpu", "a cpu", 2.0 + DEVICE_HISTORY_SECONDS, utilisation=0.5)
    writer.device_samples([old])
    writer.device_samples([new])
    writer.device_samples([])
    read = Reader(database).device_samples()
    assert [(s.utilisation, s.temperature, s.run_id) for s in read] == [(0.5, None, run.id)]


def test_notes_and_tags_change_apart(database: Database, started: Started) -> None:
    run, _ = started()
    control = Controller(database)
    control.annotate(run.id, note="keep [bold]")
    control.annotate(run.id, tags="a,b")
    assert (Reader(database).run(run.id).note, Reader(database).run(run.id).tags) == ("keep [bold]", "a,b")
    with pytest.raises(RunNotFound):
        control.annotate(99, note="x")


def _train(path: str, run_id: int, count: int) -> None:
    database = Database.open(path)
    writer = Writer(database, run_id)
    writer.start(pid=run_id, process_started=1.0, host="here")
    writer.running(RunFacts(1, "f", "p", "cpu", {}))
    for step in range(count):
        writer.metrics([MetricPoint("train/loss", step, 0.0, 1.0, float(step))])
    writer.finish(Result.COMPLETED, event("completed"))
    database.close()


def test_several_engines_write_at_once_and_nothing_is_lost(
    store: Path, database: Database, new_run: NewRun
) -> None:
    control, reader = Controller(database), Reader(database)
    ids = [control.create_run(new_run).id for _ in range(4)]
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_train, args=(str(store), run_id, 50)) for run_id in ids]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for run_id in ids:
        assert [point.value for point in reader.metrics(run_id)] == [float(i) for i in range(50)]
        assert reader.run(run_id).result is Result.COMPLETED


def test_an_open_read_never_blocks_a_writer(store: Path, database: Database, started: Started) -> None:
    run, writer = started()
    other = Database.open(store, create=False, read_only=True)
    with other.read() as view:
        before = view.execute(text("SELECT count(*) FROM metric")).scalar()
        writer.metrics([MetricPoint("train/loss", 1, 0.0, 1.0, 1.0)])
        assert view.execute(text("SELECT count(*) FROM metric")).scalar() == before
    assert len(Reader(other).metrics(run.id)) == 1
    other.close()
