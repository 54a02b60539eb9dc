"""Judging a trained run once more: the stored ranks come back, and looks at the test split are counted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import evaluating
from engine.data.vectors import open_vectors
from engine.evaluating import evaluate_run
from engine.judged import judged_lines, judged_record
from engine.task import task_of
from lvmtui import stats
from lvmtui.errors import CheckpointError, DataError, IllegalTransition, TrainingError
from lvmtui.recipe import build, from_json
from lvmtui.store import looks
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun
from lvmtui.versus import versus_of

RECIPE = {
    "name": "small",
    "data": {"context": 8},
    "model": {"name": "gru", "hidden": 16, "layers": 1, "head": "composer"},
    "loss": {"bank": 64},
    "train": {"epochs": 3, "batch": 8, "accumulation": 1, "ema": 0.9, "threads": 1, "device": "cpu"},
    "stop": {"patience": 10},
}


def queue(database: Database, data: Path, **changes: str) -> int:
    overrides = {name.replace("__", "."): value for name, value in changes.items()}
    recipe = build(RECIPE, {"data.path": str(data)} | overrides)
    new = NewRun(
        phase=recipe.name,
        recipe=recipe.to_json(),
        recipe_hash=recipe.hash,
        seed=0,
        model="gru",
        context=8,
        watch="hit5",
        data=str(data),
        epochs=recipe.train.epochs,
        patience=10,
    )
    return Controller(database).create_run(new).id


@pytest.fixture(scope="module")
def trained(tmp_path_factory, folder):
    """A store with a finished run, and its data; tests take copies."""
    root = tmp_path_factory.mktemp("trained")
    shutil.copytree(folder, root / "vectors")
    database = Database.open(root / "runs.db")
    run_id = queue(database, root / "vectors")
    database.close()
    command = [sys.executable, "-P", "-m", "engine", str(run_id), "--store", str(root / "runs.db")]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
    return root


@pytest.fixture
def store(trained, tmp_path):
    """The store, to be written to. The vectors stay where the recipe has them."""
    place = tmp_path / "copy"
    shutil.copytree(trained, place)
    threads = torch.get_num_threads()
    database = Database.open(place / "runs.db", create=False)
    yield database
    database.close()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def change(database, statement, *values):
    with database.write() as connection:
        connection.exec_driver_sql(statement, values)


def test_on_validation_the_stored_ranks_come_back(store):
    reader = Reader(store)
    before = (reader.run(1), reader.evaluations(1), reader.events())
    judged = evaluate_run(store, 1, "validation")
    stored = reader.best_evaluation(reader.run(1))
    assert judged.evaluation.ranks == stored.ranks
    assert judged.evaluation.loss == pytest.approx(stored.loss)
    assert judged.reproduced == f"all {stored.n} ranks are those that training stored"
    assert (reader.run(1), reader.evaluations(1), reader.events()) == before
    assert (judged.looks, judged.from_store) == (0, False)


def test_the_last_checkpoint_is_another(store):
    best, last = (evaluate_run(store, 1, "validation", which=which) for which in ("best", "last"))
    rows = Reader(store).checkpoints(1)
    assert best.checkpoint.is_best
    assert last.checkpoint.is_last
    assert last.reproduced.startswith("all ")
    assert evaluate_run(store, 1, "validation", which=rows[0].id).checkpoint == rows[0]
    with pytest.raises(CheckpointError, match="no checkpoint with the id 99"):
        evaluate_run(store, 1, "validation", which=99)


def test_a_look_at_the_test_split_is_written_down_before_it_is_read(store, monkeypatch):
    order = []
    judge = evaluating._Bench.judge

    def watched(bench, split):
        order.append((split, looks.test_looks(Reader(store), bench.data.fingerprint)))
        return judge(bench, split)

    monkeypatch.setattr(evaluating._Bench, "judge", watched)
    judged = evaluate_run(store, 1, "test")
    assert order == [("validation", 0), ("test", 1)]
    reader = Reader(store)
    (event,) = reader.events_of_kind("test_look")
    run, row = reader.run(1), judged.checkpoint
    assert (event.run_id, event.severity.value) == (1, "info")
    assert dict(event.evidence) == {
        "data": run.data_fingerprint,
        "protocol": judged.protocol.id,
        "validation_protocol": run.protocol_id,
        "checkpoint": row.path,
        "epoch": row.epoch,
        "by": "evaluate",
    }
    assert judged.protocol.split == "test"
    assert judged.evaluation.protocol_id != run.protocol_id


def test_the_score_on_the_test_split_is_kept_with_its_baselines(store):
    judged = evaluate_run(store, 1, "test", by="promote")
    reader = Reader(store)
    kept = [item for item in reader.evaluations(1) if item.split == "test"]
    assert [item.ranks for item in kept] == [judged.evaluation.ranks]
    assert kept[0].epoch == reader.run(1).progress.best_epoch
    baselines = reader.baselines(judged.protocol.id)
    assert {item.split for item in baselines} == {"test"}
    strongest = max(baselines, key=lambda item: (item.hit5, item.mrr))
    assert [item.baseline for item in versus_of(kept[0])] == [strongest.baseline, "copy-last"]
    ours, theirs = (stats.hit_at(stats.unpack_ranks(item.ranks), 5) for item in (kept[0], strongest))
    assert versus_of(kept[0])[0].difference == pytest.approx(ours - theirs)
    assert judged.skill == pytest.approx((ours - theirs) / (1 - theirs))
    # The leaderboard still goes by validation.
    assert reader.best_evaluation(reader.run(1)).split == "validation"


def test_a_checkpoint_is_read_on_the_test_split_once(store):
    first = evaluate_run(store, 1, "test")
    again = evaluate_run(store, 1, "test", by="promote")
    assert again.from_store
    assert (again.evaluation.ranks, again.looks) == (first.evaluation.ranks, 1)


def test_a_second_look_is_a_warning(store):
    row = Reader(store).checkpoints(1)[0]
    fingerprint = Reader(store).run(1).data_fingerprint
    first = {"data": fingerprint, "checkpoint": "runs/9/somewhere.safetensors"}
    from lvmtui.store.writer import Writer

    Writer(store, 1).event("test_look", "an earlier look", evidence=first)
    judged = evaluate_run(store, 1, "test", which=row.id)
    assert judged.looks == 2
    assert Reader(store).events_of_kind("test_look")[-1].severity.value == "warn"
    assert "the test split of these data was looked at 2 times so far" in judged_lines(judged)


def test_nothing_is_chosen_on_the_test_split(store):
    judged = evaluate_run(store, 1, "test")
    chosen = {item.baseline: item for item in Reader(store).baselines(Reader(store).run(1).protocol_id)}
    for item in judged.baselines:
        for key in item.details.keys() - {"mrr_interval"}:
            assert item.details[key] == chosen[item.baseline].details[key]


def test_other_ranks_than_the_stored_ones_are_an_error_and_cost_no_look(store):
    best = Reader(store).best_evaluation(Reader(store).run(1))
    ranks = stats.unpack_ranks(best.ranks)
    ranks[:3] += 1
    change(store, "UPDATE evaluation SET ranks = ? WHERE id = ?", stats.pack_ranks(ranks), best.id)
    for split in ("validation", "test"):
        with pytest.raises(TrainingError, match=r"3 of \d+ ranks on validation are not those"):
            evaluate_run(store, 1, split)
    assert Reader(store).events_of_kind("test_look") == []


def test_another_environment_may_turn_last_bits(store, monkeypatch):
    best = Reader(store).best_evaluation(Reader(store).run(1))
    ranks = stats.unpack_ranks(best.ranks)
    ranks[ranks.argmax()] -= 1
    change(store, "UPDATE evaluation SET ranks = ? WHERE id = ?", stats.pack_ranks(ranks), best.id)
    monkeypatch.setattr(evaluating, "versions", lambda: {"torch": "9.9"})
    judged = evaluate_run(store, 1, "validation")
    assert judged.reproduced.startswith(f"1 of {best.n} ranks differ from the stored ones")
    assert "-> 9.9" in judged.reproduced
    change(
        store,
        "UPDATE evaluation SET ranks = ? WHERE id = ?",
        stats.pack_ranks(np.full(best.n, 30, np.uint32)),
        best.id,
    )
    with pytest.raises(TrainingError, match="are not those that training"):
        evaluate_run(store, 1, "validation")


def test_a_run_that_has_not_begun_is_refused(store, folder):
    run_id = queue(store, folder)
    with pytest.raises(IllegalTransition, match="cannot be evaluated: it is queued"):
        evaluate_run(store, run_id, "validation")


def test_another_recipe_is_refused_without_a_look(store, tmp_path):
    recipe = from_json(Reader(store).run(1).recipe)
    other = recipe.model_copy(update={"loss": recipe.loss.model_copy(update={"bank": 32})})
    change(store, "UPDATE run SET recipe = ? WHERE id = 1", other.to_json())
    with pytest.raises(CheckpointError, match=r"is not the one of its checkpoint: loss\.bank"):
        evaluate_run(store, 1, "test")
    gone = recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": str(tmp_path / "no")})})
    change(store, "UPDATE run SET recipe = ? WHERE id = 1", gone.to_json())
    with pytest.raises(DataError, match="does not exist"):
        evaluate_run(store, 1, "test")
    assert Reader(store).events_of_kind("test_look") == []


def test_other_data_are_refused_without_a_look(store, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "other")
    np.save(tmp_path / "other" / "vectors.npy", np.load(folder / "vectors.npy")[::-1].copy())
    monkeypatch.setattr(evaluating, "resolve_data", lambda *_: open_vectors(tmp_path / "other"))
    with pytest.raises(CheckpointError, match="their fingerprint was"):
        evaluate_run(store, 1, "test")
    assert Reader(store).events_of_kind("test_look") == []


@pytest.mark.parametrize("protocol", ["doc-v1", "window-v0"])
def test_the_test_splits_protocol_is_known_before_it_is_read(folder, protocol):
    recipe = build(RECIPE, {"data.path": str(folder), "evaluate.protocol": protocol, "data.stride": "1"})
    task = task_of(recipe, open_vectors(folder))
    cpu = torch.device("cpu")
    announced = evaluating._test_id(task.judge("validation", cpu))
    assert announced == task.judge("test", cpu).protocol.id


def test_lines_and_record_say_what_was_judged(store):
    judged = evaluate_run(store, 1, "validation")
    text = "\n".join(judged_lines(judged))
    evaluation = judged.evaluation
    assert f"small #1, checkpoint of epoch {judged.checkpoint.epoch}, on the validation split" in text
    assert f"id {judged.protocol.id}, data {judged.protocol.data_fingerprint}: n {evaluation.n}" in text
    assert f"{100 * evaluation.hit5:.1f} [{100 * evaluation.hit5_interval.low:.1f}," in text
    assert "over the same queries" in text
    assert "skill " in text
    assert "was never looked at so far" in text
    record = json.loads(json.dumps(judged_record(judged)))
    assert record["hit5"] == evaluation.hit5
    assert record["hit5_interval"] == [evaluation.hit5_interval.low, evaluation.hit5_interval.high]
    assert (record["n"], record["pool"]) == (evaluation.n, evaluation.pool)
    assert record["protocol"]["data"] == judged.protocol.data_fingerprint
    assert {item["baseline"] for item in record["baselines"]} >= {"copy-last", "ridge"}
