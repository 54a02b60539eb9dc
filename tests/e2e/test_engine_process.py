"""Real engine processes on a small vector set: whole runs, stop, kill, resume bit by bit, what goes wrong."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from lvmtui.recipe import Recipe, build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import Checkpoint, NewRun, Run

pytestmark = pytest.mark.slow
Wait = Callable[..., None]

TIMING = {"train/vectors_per_second", "epoch/seconds"}
"""Metrics that no two runs have alike."""

RECIPE: dict[str, Any] = {
    "name": "small",
    "data": {"context": 12},
    "model": {"name": "gru", "hidden": 24, "layers": 2, "dropout": 0.2},
    "loss": {"bank": 64},
    "train": {"epochs": 4, "batch": 4, "accumulation": 2, "steps_per_epoch": 40, "lr": 0.003, "ema": 0.9},
    "stop": {"patience": 10},
}


def write_vectors(folder: Path, *, seed: int = 0) -> Path:
    """Documents of drifting unit vectors, so that there is something to predict."""
    random = np.random.default_rng(seed)
    documents, length, dim = 60, 30, 16
    vectors = np.empty((documents * length, dim))
    for document in range(documents):
        state = random.normal(size=dim)
        for place in range(length):
            state = 0.8 * state + 0.6 * random.normal(size=dim)
            vectors[document * length + place] = state
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    np.save(folder / "documents.npy", np.repeat(np.arange(documents, dtype=np.int32), length))
    return folder


class Lab:
    """A store in a folder of its own, and the engine processes started on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = write_vectors(root / "vectors")
        self.database = Database.open(root / "runs.db")
        self.reader = Reader(self.database)
        self.control = Controller(self.database)
        self.processes: list[subprocess.Popen[str]] = []
        self.logs: dict[int, str] = {}
        """What the process that ended a run wrote: run -> log."""

    def recipe(self, **changes: str) -> Recipe:
        overrides = {name.replace("__", "."): value for name, value in changes.items()}
        return build(RECIPE, {"data.path": str(self.data)} | overrides)

    def queue(self, **changes: str) -> int:
        recipe = self.recipe(**changes)
        new = NewRun(
            phase=recipe.name,
            recipe=recipe.to_json(),
            recipe_hash=recipe.hash,
            seed=recipe.train.seed,
            model=recipe.model.name,
            context=recipe.data.context,
            watch=recipe.stop.metric,
            data=recipe.data.path,
            epochs=recipe.train.epochs,
            patience=recipe.stop.patience,
            held=True,  # no engine that ends takes it up; the tests start their own
        )
        return self.control.create_run(new).id

    def start(self, run_id: int, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-m", "engine", str(run_id), "--store", str(self.root / "runs.db")]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        )
        self.processes.append(process)
        return process

    def finish(self, run_id: int) -> tuple[int, str]:
        """Run it to its end: exit code and log."""
        process = self.start(run_id)
        output, _ = process.communicate(timeout=120)
        if process.returncode == 0:
            self.logs[run_id] = output
        return process.returncode, output

    def lose_and_requeue(self, run_id: int) -> None:
        """What `resume` does with a run whose process is gone."""
        self.control.mark_lost(self.run(run_id), "killed by the test")
        self.control.requeue(run_id)

    def run(self, run_id: int) -> Run:
        return self.reader.run(run_id)

    def step(self, run_id: int) -> int:
        return self.run(run_id).progress.step

    def last(self, run_id: int) -> Checkpoint:
        return next(row for row in self.reader.checkpoints(run_id) if row.is_last)

    def files(self, run_id: int) -> set[str]:
        return {path.name for path in (self.root / f"runs/{run_id}/checkpoints").glob("*")}

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.database.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(lab: Lab) -> int:
    """A run that nothing interrupted."""
    run_id = lab.queue()
    code, output = lab.finish(run_id)
    assert code == 0, output
    return run_id


def values(lab: Lab, run_id: int) -> dict[tuple[str, int], tuple[float, float | None]]:
    points = lab.reader.metrics(run_id)
    found = {(p.key, p.step): (p.epoch, p.value) for p in points if p.key not in TIMING}
    assert len(found) == sum(p.key not in TIMING for p in points), "a metric was stored twice"
    return found


def weights(lab: Lab, run_id: int) -> dict[str, bytes]:
    tensors = load_file(lab.root / lab.last(run_id).path)
    return {name: tensor.tobytes() for name, tensor in tensors.items()}


def assert_identical(lab: Lab, run_id: int, whole: int) -> None:
    """Same metrics, same ranks, same weights, moments and generators, bit by bit."""
    assert lab.run(run_id).result == lab.run(whole).result
    assert values(lab, run_id) == values(lab, whole)
    ranks = [
        [(e.epoch, e.step, e.ranks, e.loss) for e in lab.reader.evaluations(one)] for one in (run_id, whole)
    ]
    assert ranks[0] == ranks[1]
    assert weights(lab, run_id) == weights(lab, whole)
    best = [lab.run(one).progress for one in (run_id, whole)]
    assert (best[0].best_epoch, best[0].best_value) == (best[1].best_epoch, best[1].best_value)


def test_a_run_from_start_to_end(lab: Lab, whole: int) -> None:
    run = lab.run(whole)
    assert (run.status, run.result, run.error) == (Status.DONE, Result.COMPLETED, None)
    assert (run.progress.epoch, run.progress.step, run.progress.steps) == (4, 160, 160)
    assert run.protocol_id is not None
    assert run.device == "cpu"
    assert set(run.versions) == {"python", "torch", "numpy", "lvmtui", "precision"}
    keys = {point.key for point in lab.reader.metrics(whole)}
    assert keys == TIMING | {
        *("train/loss", "train/lr", "train/grad_norm", "train/temperature", "epoch/train_loss"),
        *("val/loss", "val/hit1", "val/hit5", "val/hit10", "val/mrr", "val/cosine", "val/copyness"),
        *("val/effective_rank", "val/prediction_cosine"),
        *(
            "composer/newest_weight",
            "composer/mean_lag",
            "composer/correction_norm",
            "composer/salience_norm",
        ),
    }
    assert [e.epoch for e in lab.reader.evaluations(whole)] == [1, 2, 3, 4]
    names = {baseline.baseline for baseline in lab.reader.baselines(run.protocol_id)}
    assert names == {
        *("random", "copy-last", "mean", "ewm", "ewm-centred", "ewm-whitened"),
        *("ridge", "nearest-successor"),
    }
    assert [protocol.id for protocol in lab.reader.protocols()] == [run.protocol_id]
    kinds = [event.kind for event in lab.reader.events(run_id=whole)]
    assert kinds[:2] == ["launched", "started"]
    assert kinds[-1] == "completed"
    assert "its best baseline" in lab.reader.events(run_id=whole)[-1].message
    samples = lab.reader.device_samples()
    assert samples[0].device == "cpu"
    assert samples[0].run_id == whole


def test_only_the_best_and_the_last_checkpoint_are_kept(lab: Lab, whole: int) -> None:
    rows = lab.reader.checkpoints(whole)
    assert sum(row.is_best for row in rows) == 1
    assert sum(row.is_last for row in rows) == 1
    assert all(row.is_best or row.is_last for row in rows)
    assert lab.files(whole) == {Path(row.path).name for row in rows}
    best = next(row for row in rows if row.is_best)
    assert best.epoch == lab.run(whole).progress.best_epoch
    assert best.value == lab.run(whole).progress.best_value


def test_the_log_has_a_line_an_epoch(lab: Lab, whole: int) -> None:
    output = lab.logs[whole]
    lines = [line for line in output.splitlines() if " ep " in line]
    assert len(lines) == 4
    assert all("Hit@5" in line for line in lines)
    assert "baseline copy-last" in output
    assert "Warning" not in output


def test_killed_and_stopped_in_any_epoch_and_resumed_is_bit_identical(
    lab: Lab, whole: int, wait_until: Wait
) -> None:
    """Killed before the first checkpoint, stopped twice within an epoch, killed some steps after a
    checkpoint: each time it goes on from what was stored, and nothing of all that is left at the end."""
    run_id = lab.queue()
    for end, step in (("kill", 1), ("stop", 3), ("stop", 57), ("kill", 95)):
        # What an earlier process had reached is no sign of this one.
        reached = max(step, lab.step(run_id) + 1)
        process = lab.start(run_id)
        wait_until(lambda: lab.step(run_id) >= reached, f"step {reached}")  # noqa: B023
        if end == "kill":
            process.kill()
            process.wait()
            assert lab.run(run_id).status is Status.RUNNING
            lab.lose_and_requeue(run_id)
        else:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            run = lab.run(run_id)
            assert (run.status, run.result) == (Status.DONE, Result.STOPPED)
            assert lab.last(run_id).step == run.progress.step
            lab.control.requeue(run_id)
        assert reached <= lab.step(run_id) < 160
    code, output = lab.finish(run_id)
    assert code == 0, output
    assert_identical(lab, run_id, whole)


@pytest.mark.parametrize("model", ["lane_experts", "transformer"])
def test_models_that_are_built_from_more_than_a_recipe_resume_too(
    lab: Lab, wait_until: Wait, model: str
) -> None:
    """Lanes that routing starts from, a window that attention is bounded by."""
    changes = {"model__name": model, "model__heads": "2", "train__epochs": "2"}
    undisturbed, run_id = lab.queue(**changes), lab.queue(**changes)
    code, output = lab.finish(undisturbed)
    assert code == 0, output
    process = lab.start(run_id)
    wait_until(lambda: lab.step(run_id) >= 10, "step 10")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert lab.run(run_id).result == Result.STOPPED
    lab.control.requeue(run_id)
    code, output = lab.finish(run_id)
    assert code == 0, output
    assert_identical(lab, run_id, undisturbed)


def test_killed_between_the_file_of_a_checkpoint_and_its_row(lab: Lab, whole: int, wait_until: Wait) -> None:
    run_id = lab.queue()
    process = lab.start(run_id)
    wait_until(lambda: lab.step(run_id) >= 45, "the second epoch")
    # Nobody can commit while this transaction lasts, so the file comes without its row.
    locker = sqlite3.connect(lab.root / "runs.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    known = {Path(row.path).name for row in lab.reader.checkpoints(run_id)}

    def stray() -> set[str]:
        return {name for name in lab.files(run_id) - known if name.endswith(".safetensors")}

    wait_until(stray, "a file without a row")
    process.kill()
    process.wait()
    locker.execute("ROLLBACK")
    locker.close()
    assert stray()
    lab.lose_and_requeue(run_id)
    code, output = lab.finish(run_id)
    assert code == 0, output
    assert_identical(lab, run_id, whole)
    assert lab.files(run_id) == {Path(row.path).name for row in lab.reader.checkpoints(run_id)}


def test_a_request_in_the_store_stops_it_too(lab: Lab, wait_until: Wait) -> None:
    run_id = lab.queue(train__epochs="1000")
    process = lab.start(run_id)
    wait_until(lambda: lab.step(run_id) > 0, "the first step")
    lab.control.request_stop(run_id)
    assert process.wait(timeout=60) == 0
    assert lab.run(run_id).result is Result.STOPPED
    assert lab.reader.pending_controls() == []


def test_stopped_before_the_first_step(lab: Lab, wait_until: Wait) -> None:
    run_id = lab.queue()
    process = lab.start(run_id)
    wait_until(lambda: lab.run(run_id).status is Status.STARTING, "the process")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert lab.run(run_id).result is Result.STOPPED
    assert lab.step(run_id) == 0


def test_patience_ends_it(lab: Lab) -> None:
    run_id = lab.queue(train__lr="1e-9", train__epochs="50", train__steps_per_epoch="2", stop__patience="2")
    code, output = lab.finish(run_id)
    run = lab.run(run_id)
    assert code == 0, output
    assert run.result is Result.EARLY_STOPPED
    assert run.progress.patience_used == 2
    assert run.progress.epoch < 50
    assert "no gain 2/2" in output


def test_a_changed_recipe_is_refused_with_what_changed(lab: Lab, wait_until: Wait) -> None:
    run_id = lab.queue(train__epochs="1000")
    process = lab.start(run_id)
    wait_until(lambda: lab.step(run_id) > 0, "the first step")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    changed = lab.recipe(train__epochs="1000", train__lr="0.5")
    with sqlite3.connect(lab.root / "runs.db") as connection:
        connection.execute("UPDATE run SET recipe = ? WHERE id = ?", (changed.to_json(), run_id))
    connection.close()
    lab.control.requeue(run_id)
    code, _ = lab.finish(run_id)
    run = lab.run(run_id)
    assert (code, run.result) == (1, Result.FAILED)
    assert run.error is not None
    assert "train.lr 0.003 -> 0.5" in run.error
    assert "Traceback" not in run.error


def test_changed_data_and_damaged_checkpoints_are_refused(lab: Lab, tmp_path: Path, wait_until: Wait) -> None:
    folder = write_vectors(tmp_path / "own")
    run_id = lab.queue(data__path=str(folder), train__epochs="1000")
    process = lab.start(run_id)
    wait_until(lambda: lab.step(run_id) > 0, "the first step")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)

    write_vectors(folder, seed=1)
    lab.control.requeue(run_id)
    assert lab.finish(run_id)[0] == 1
    assert "fingerprint" in (lab.run(run_id).error or "")

    write_vectors(folder)
    path = lab.root / lab.last(run_id).path
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    lab.control.requeue(run_id)
    assert lab.finish(run_id)[0] == 1
    error = lab.run(run_id).error or ""
    assert f"{path} is damaged" in error
    assert "Restore the file" in error


def test_a_full_disk_costs_checkpoints_but_not_the_run(lab: Lab, wait_until: Wait) -> None:
    run_id = lab.queue(model__hidden="320", train__epochs="1000", train__steps_per_epoch="5")
    process = lab.start(run_id)
    wait_until(lambda: lab.reader.checkpoints(run_id), "the first checkpoint")
    # The limit on file sizes stands in for the full disk; the store's files stay below it.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (6_000_000, resource.RLIM_INFINITY))
    wait_until(lambda: kinds(lab, run_id).count("checkpoint_failed") >= 2, "two failed checkpoints")
    good = lab.last(run_id)
    assert (lab.root / good.path).stat().st_size == good.size > 6_000_000
    assert not [name for name in lab.files(run_id) if name.endswith(".tmp")]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: lab.last(run_id).step > good.step, "a checkpoint after the disk was freed")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert lab.run(run_id).result is Result.STOPPED


def test_a_store_that_cannot_be_written_for_a_while_loses_nothing(lab: Lab, wait_until: Wait) -> None:
    run_id = lab.queue(train__epochs="1000", train__steps_per_epoch="2000")
    process = lab.start(run_id)
    wait_until(lambda: lab.step(run_id) > 0, "the first step")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    wait_until(lambda: time.time() - (lab.run(run_id).heartbeat or 0) > 3, "silence")
    silent_at = lab.step(run_id)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: lab.step(run_id) > silent_at, "news")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "the store cannot be written" in output
    assert "the store is written again" in output
    steps = [point.step for point in lab.reader.metrics(run_id, keys=["train/loss"])]
    assert steps == list(range(1, lab.step(run_id) + 1))


def kinds(lab: Lab, run_id: int) -> list[str]:
    return [event.kind for event in lab.reader.events(run_id=run_id)]


def test_missing_torch_is_said_with_the_line_that_installs_it(lab: Lab, tmp_path: Path) -> None:
    shadow = tmp_path / "torch"
    shadow.mkdir()
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    run_id = lab.queue()
    process = lab.start(run_id, PYTHONPATH=str(tmp_path))
    output, _ = process.communicate(timeout=60)
    run = lab.run(run_id)
    assert (process.returncode, run.result) == (1, Result.FAILED)
    assert "pip install 'lvmtui[train]'" in (run.error or "")
    assert "Traceback" not in output


def test_missing_data_fails_without_a_traceback(lab: Lab, tmp_path: Path) -> None:
    run_id = lab.queue(data__path=str(tmp_path / "nowhere"))
    code, output = lab.finish(run_id)
    assert code == 1
    assert str(tmp_path / "nowhere") in (lab.run(run_id).error or "")
    assert "Traceback" not in output


def test_a_second_process_cannot_take_a_run_that_is_taken(lab: Lab, whole: int) -> None:
    code, output = lab.finish(whole)
    assert code == 1
    assert "cannot become starting" in output
    assert lab.run(whole).result is Result.COMPLETED


def test_a_process_whose_run_was_declared_lost_ends_and_writes_no_more(lab: Lab, wait_until: Wait) -> None:
    run_id = lab.queue(train__epochs="1000")
    process = lab.start(run_id)
    wait_until(lambda: lab.step(run_id) > 0, "the first step")
    lab.control.mark_lost(lab.run(run_id), "the test says so")
    assert process.wait(timeout=60) == 1
    run = lab.run(run_id)
    assert (run.status, run.result) == (Status.DONE, Result.LOST)
    assert run.revision == max(one.revision for one in lab.reader.runs())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "RUN_ID"),
        ([], 2, "RUN_ID"),
        (["many", "--store", "x"], 2, "invalid int"),
        (["1", "--store", "{root}/none.db"], 1, "there is no run store"),
        (["999999", "--store", "{root}/runs.db"], 1, "there is no run #999999"),
    ],
)
def test_the_command_line(lab: Lab, arguments: list[str], code: int, words: str) -> None:
    command = [sys.executable, "-P", "-m", "engine", *(text.format(root=lab.root) for text in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_checkpoint_tells_what_it_belongs_to(lab: Lab, whole: int) -> None:
    from safetensors import safe_open

    with safe_open(lab.root / lab.last(whole).path, framework="numpy") as opened:
        identity = json.loads(opened.metadata()["state"])["identity"]
    assert identity["data"] == lab.run(whole).data_fingerprint
    assert identity["recipe"]["train"]["epochs"] == 4
    assert identity["device"] == "cpu"


def test_the_store_hears_of_the_process_before_torch_is_there(lab: Lab, wait_until: Wait) -> None:
    run_id = lab.queue()
    process = lab.start(run_id)
    wait_until(lambda: lab.run(run_id).status is Status.STARTING, "the process")
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()
    assert lab.run(run_id).pid == process.pid
    process.kill()
    process.wait()
    lab.control.mark_lost(lab.run(run_id), "killed by the test")
