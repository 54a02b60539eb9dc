"""From a run of a store: loading by what a checkpoint is to it, the probe at each door, and `predict`."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from engine import checkpoint
from engine.evaluating import evaluate_run
from engine.infer import load, load_run
from engine.predicting_command import main
from lvmtui.errors import CheckpointError, IllegalTransition, RunNotFound
from lvmtui.recipe import build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun

RECIPE = {
    "name": "small",
    "data": {"context": 12},
    "model": {"name": "memory_gru", "hidden": 16, "layers": 1, "slots": 4, "chunk": 5},
    "loss": {"bank": 64},
    "train": {"epochs": 2, "batch": 8, "accumulation": 1, "ema": 0.9, "threads": 1, "device": "cpu"},
}


def engine(*arguments):
    command = [sys.executable, "-P", "-m", "engine", *map(str, arguments)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A store with a run that a process of the engine has trained for two epochs; tests take copies."""
    root = tmp_path_factory.mktemp("finished")
    recipe = build(RECIPE, {"data.path": str(data.path)})
    database = Database.open(root / "runs.db")
    new = NewRun("small", recipe.to_json(), recipe.hash, 0, "memory_gru", 12, "hit5", "x", 2, 3)
    run_id = Controller(database).create_run(new).id
    database.close()
    done = engine(run_id, "--store", root / "runs.db")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture
def store(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    database = Database.open(tmp_path / "runs.db", create=False)
    yield database
    database.close()
    torch.use_deterministic_algorithms(False)


def tamper(database, which, change):
    """Change a checkpoint's state on disk, and let the store's hash fit."""
    row = next(row for row in Reader(database).checkpoints(1) if getattr(row, f"is_{which}"))
    path = database.location.root / row.path
    state = checkpoint.load(path, row.sha256)
    change(state)
    checkpoint.save(path, state)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE checkpoint SET sha256 = ? WHERE path = ?", (digest, row.path))


def spoil(state):
    state["probe"]["predictions"] = state["probe"]["predictions"].roll(1, dims=0)


def drop(state):
    del state["probe"]


def test_a_run_is_loaded_by_best_last_id_or_champion(store, tmp_path):
    url, rows = str(tmp_path / "runs.db"), Reader(store).checkpoints(1)
    x = np.random.default_rng(0).normal(size=(9, 24)).astype(np.float32)
    for row in rows:
        expected = load(store.location.root / row.path).predict(x)
        assert torch.equal(load_run(url, 1, row.id).predict(x), expected)
        for which in ("best", "last"):
            if getattr(row, f"is_{which}"):
                assert torch.equal(load_run(url, 1, which).predict(x), expected)
    with pytest.raises(CheckpointError, match="never promoted"):
        load_run(url, 1, "champion")
    Controller(store).promote(1)
    assert torch.equal(load_run(url, 1, "champion").predict(x), load_run(url, 1, "best").predict(x))
    with pytest.raises(RunNotFound):
        load_run(url, 7)
    queued = Reader(store).run(1)
    Controller(store).create_run(NewRun("q", queued.recipe, "h", 0, "gru", 12, "hit5", "x", 2, 3))
    with pytest.raises(IllegalTransition):
        load_run(url, 2)


def test_no_door_lets_another_model_in(store, tmp_path):
    tamper(store, "best", spoil)
    with pytest.raises(CheckpointError, match="does not make the model that was saved"):
        load_run(tmp_path / "runs.db", 1)
    with pytest.raises(CheckpointError, match="does not make the model that was saved"):
        evaluate_run(store, 1, "validation")
    done = engine("evaluate", 1, "--store", tmp_path / "runs.db", "--by", "promote", "--split", "test")
    assert done.returncode == 1
    assert "does not make the model that was saved" in done.stderr
    assert Reader(store).events_of_kind("test_look") == []


@pytest.mark.parametrize("change", [spoil, drop])
def test_resuming_checks_the_probe(store, tmp_path, change):
    tamper(store, "last", change)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE run SET result = 'stopped' WHERE id = 1")
    Controller(store).requeue(1)
    done = engine(1, "--store", tmp_path / "runs.db")
    run = Reader(store).run(1)
    if change is spoil:
        assert (done.returncode, run.result) == (1, Result.FAILED)
        assert "does not make the model that was saved" in run.error
    else:
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(Reader(store).events_of_kind("unprobed")) == 1


def test_an_older_checkpoint_is_evaluated(store):
    tamper(store, "best", drop)
    assert evaluate_run(store, 1, "validation").reproduced.startswith("all ")


def test_predict_lists_the_nearest_of_the_runs_own_vectors(store, data, tmp_path, capsys):
    np.save(tmp_path / "context.npy", data.vectors[40:52])
    common = ["1", "--store", str(tmp_path / "runs.db"), "--context", str(tmp_path / "context.npy")]
    assert main([*common, "--top", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    predictor = load_run(tmp_path / "runs.db", 1)
    expected = predictor.predict(data.vectors[40:52])
    np.testing.assert_allclose(found["prediction"], expected.numpy(), atol=1e-6)
    unit = data.vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = unit @ expected.double().numpy()
    cosines[40:52] = -1  # the context's own vectors are no candidates
    rows = np.argsort(-cosines)[:4]
    assert [row["row"] for row in found["top"]] == rows.tolist()
    assert [row["document"] for row in found["top"]] == data.documents[rows].tolist()
    assert (found["context"], found["precision"], found["notes"]) == (12, "fp32", [])
    assert main([*common, "--last", "3", "--include-context", "--precision", "int8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("small #1, checkpoint of epoch ")
    assert "after 3 vectors" in lines[0]
    assert len(lines) == 11


def test_predict_takes_a_file_as_a_pool_and_says_what_is_beyond_training(store, data, tmp_path, capsys):
    np.save(tmp_path / "context.npy", data.vectors[:30])
    np.save(tmp_path / "pool.npy", data.vectors[25:50])
    common = ["1", "--store", str(tmp_path / "runs.db"), "--context", str(tmp_path / "context.npy")]
    assert main([*common, "--pool", str(tmp_path / "pool.npy")]) == 0
    out = capsys.readouterr().out
    assert "! trained on contexts of 12" in out
    assert "document" not in out
    assert main([*common, "--pool", str(data.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pool"] == str(data.path)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (np.ones((3, 7), np.float32), "vectors of 7 numbers, the model's have 24"),
        (np.zeros((3, 24), np.float32), "zero or not finite"),
        (np.ones((1, 3, 24), np.float32), "has the shape (1, 3, 24)"),
        (np.array([{"a": 1}], dtype=object), "Python objects"),
        (None, "is missing"),
    ],
)
def test_predict_refuses_unusable_contexts(store, tmp_path, capsys, context, words):
    if context is not None:
        np.save(tmp_path / "context.npy", context, allow_pickle=True)
    asked = ["1", "--store", str(tmp_path / "runs.db"), "--context", str(tmp_path / "context.npy")]
    assert main(asked) == 1
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told


def test_predict_refuses_pools_in_which_nothing_can_be_found(store, data, tmp_path, capsys):
    context, narrow = tmp_path / "context.npy", tmp_path / "narrow.npy"
    np.save(context, data.vectors[:5])
    np.save(narrow, np.ones((4, 9), np.float32))
    asked = ["1", "--store", str(tmp_path / "runs.db"), "--context", str(context), "--pool"]
    assert main([*asked, str(narrow)]) == 1
    assert "the pool has vectors of 9 numbers, the prediction has 24" in capsys.readouterr().err
    assert main([*asked, str(context)]) == 1
    assert "Give --last N" in capsys.readouterr().err


def test_one_vector_is_a_context_of_one(store, data, tmp_path, capsys):
    np.save(tmp_path / "one.npy", data.vectors[0])
    asked = ["1", "--store", str(tmp_path / "runs.db"), "--context", str(tmp_path / "one.npy"), "--json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["context"] == 1
