"""The shipped phases, what is said of them, and what of a recipe is refused before anything is started."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lvmtui import launcher, recipe
from lvmtui.errors import DataError, RecipeError
from lvmtui.phases import all_phases, heeded, parameters
from lvmtui.requirements import DEMO_DIM, check_recipe

CONTEXTS = {
    "phase-1": 100,
    "phase-2": 500,
    "phase-2b": 500,
    "phase-2c": 500,
    "phase-3": 1000,
    "phase-3.5": 2000,
    "phase-4": 1000,
    "phase-5": 2000,
}
PUBLISHED = {
    "broken": (0.2376, 0.3699, 0.4273, 1149, 10_333),
    "phase-1": (0.4007, 0.5932, 0.6516, 1148, 10_333),
    "phase-2": (0.5, 0.6652, 0.7478, 230, 2_065),
    "phase-2b": (0.5, 0.6652, 0.7478, 230, 2_065),
    "phase-3": (0.6174, 0.7565, 0.8174, 115, 1_031),
    "phase-3.5": (0.4483, 0.6207, 0.7241, 58, 514),
}


def test_every_phase_is_there_in_both_flavours_and_in_order() -> None:
    names = list(recipe.recipe_files())
    assert names == ["demo", *CONTEXTS, "broken", *(f"{name}-published" for name in CONTEXTS)]
    for phase in all_phases():
        assert phase.recipe is not None, phase.trouble
        assert phase.recipe.name == phase.name
        assert phase.recipe.description


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_published_flavour_is_the_published_recipe(name: str) -> None:
    found = recipe.load(f"{name}-published")
    assert found.data.context == CONTEXTS[name]
    assert found.data.stride == CONTEXTS[name] // 2
    assert (found.model.hidden, found.model.layers, found.model.head) == (512, 4, "delta")
    assert found.model.name == ("lane_experts" if name == "phase-4" else "memory_gru")
    assert (found.loss.name, found.loss.temperature) == ("published", 0.07)
    assert found.loss.alpha == {"phase-2b": 0.05, "phase-2c": 0.05}.get(name, 0.03)
    assert (found.loss.hard > 0) == (name == "phase-2c")
    train = found.train
    assert train.batch * train.accumulation == 256
    assert (train.positions, train.lr, train.weight_decay, train.seed) == ("last", 1e-4, 1e-4, 42)
    assert (found.stop.metric, found.stop.patience) == ("hit5", 3)
    assert found.evaluate.protocol == "window-v0"
    assert "split at random" in " ".join(found.description.split())


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_plain_flavour_is_our_recipe_without_targets_of_another_protocol(name: str) -> None:
    found = recipe.load(name)
    assert found.data.context == CONTEXTS[name]
    assert (found.evaluate.protocol, found.loss.name) == ("doc-v1", "rank")
    assert found.model.name == ("lane_experts" if name == "phase-4" else "amn")
    assert (found.train.positions, found.model.head, found.model.start) == ("all", "composer", "tuned")
    assert found.stop.metric == "mrr"
    assert found.target_scores() == {}
    assert "has no targets" in " ".join(found.description.split())


def test_2b_and_2c_differ_from_2_in_their_one_point() -> None:
    base = recipe.load("phase-2")
    assert set(recipe.differences(base, recipe.load("phase-2b"))) == {"loss.cosine"}
    assert set(recipe.differences(base, recipe.load("phase-2c"))) == {"loss.hard"}
    old = recipe.load("phase-2-published")
    assert set(recipe.differences(old, recipe.load("phase-2b-published"))) == {"loss.alpha"}


@pytest.mark.parametrize("name", ["broken", *CONTEXTS])
def test_source_numbers_are_those_of_the_table_and_nothing_is_invented(name: str) -> None:
    for flavour in (name,) if name == "broken" else (name, f"{name}-published"):
        source = recipe.load(flavour).published
        found = (source.hit1, source.hit5, source.hit10, source.pool, source.windows)
        assert found == PUBLISHED.get(name, (None,) * 5)
    if name not in PUBLISHED:
        assert "No result was published" in " ".join(recipe.load(f"{name}-published").description.split())


def test_parameters_are_known_before_any_data_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.data.encode import TfidfSvd

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert TfidfSvd()._dimensions == DEMO_DIM
    size = parameters(recipe.load("phase-3-published", {"model.head": "composer"}))
    assert size is not None
    assert abs(size / 11_285_672 - 1) < 0.01
    assert parameters(recipe.load("phase-3", {"data.path": "nowhere"})) is None


def test_only_what_makes_a_difference_is_heeded() -> None:
    demo, old, experts = (recipe.load(name) for name in ("demo", "phase-3-published", "phase-4"))
    assert not heeded(demo, "model.slots")
    assert heeded(old, "model.slots")
    assert [heeded(one, "model.experts") for one in (old, experts)] == [False, True]
    assert [heeded(one, "loss.balance") for one in (old, experts)] == [False, True]
    assert [heeded(one, "loss.bank") for one in (old, experts)] == [False, True]
    assert [heeded(one, "data.stride") for one in (old, experts)] == [True, False]
    assert [heeded(one, "model.start") for one in (old, experts)] == [False, True]


def write_set(folder: Path, documents: list[int] | None = None, vectors: int = 400) -> Path:
    folder.mkdir()
    np.save(folder / "vectors.npy", np.ones((vectors, 8), np.float16))
    if documents is not None:
        np.save(folder / "documents.npy", np.repeat(np.arange(len(documents)), documents))
    return folder


def refused(folder: Path, **overrides: str) -> DataError:
    changed = {key.replace("__", "."): value for key, value in overrides.items()}
    with pytest.raises(DataError) as raised:
        check_recipe(recipe.load("demo", {"data.path": str(folder), **changed}))
    assert raised.value.hint
    return raised.value


def test_a_context_longer_than_the_data_is_refused(tmp_path: Path) -> None:
    documents = write_set(tmp_path / "documents", [20] * 20)
    error = refused(documents, data__context="320")  # 16 of 20 documents train
    assert error.message == "a context of 320 needs 321 vectors in a row; the train split has 320"
    assert error.hint == "The largest possible context is 319."
    largest = {"data.path": str(documents), "data.context": "319", "train.batch": "1"}
    assert check_recipe(recipe.load("demo", largest))
    error = refused(documents, data__context="20", data__within_document="true")
    assert "each document of the train split has at most 20" in error.message
    stream = write_set(tmp_path / "stream")
    assert "longer than the gap of 20 vectors" in refused(stream, data__context="21").message
    assert "does not say where documents begin" in refused(stream, data__within_document="true").message
    assert "200 vectors are needed" in refused(write_set(tmp_path / "short", vectors=150)).message
    old = {"evaluate__protocol": "window-v0", "data__context": "300"}
    assert "needed, so that 10 targets make a pool" in refused(documents, **old).message
    assert (
        "2 documents; train, validation and test" in refused(write_set(tmp_path / "two", [200] * 2)).message
    )


def test_the_engine_finds_the_same_windows(tmp_path: Path) -> None:
    from engine.data.vectors import open_vectors
    from engine.task import task_of
    from lvmtui.requirements import _windows, set_facts

    random = np.random.default_rng(0)
    lengths = random.integers(3, 60, 50).tolist()
    folder = write_set(tmp_path / "set", lengths, sum(lengths))
    stream = write_set(tmp_path / "stream", None, 3000)
    for path, changes in [
        (folder, {"data.context": "30"}),
        (folder, {"data.context": "30", "data.within_document": "true", "evaluate.split_seed": "3"}),
        (folder, {"data.context": "30", "data.stride": "2", "evaluate.protocol": "window-v0"}),
        (stream, {"data.context": "100"}),
    ]:
        chosen = recipe.load("demo", {"data.path": str(path), "train.steps_per_epoch": "0", **changes})
        facts = set_facts(str(path))
        assert facts is not None
        windows = task_of(chosen, open_vectors(path)).windows(per_epoch=None, seed=0)
        assert _windows(chosen, facts) == len(windows)


def test_a_batch_larger_than_the_windows_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [20] * 20)
    error = refused(folder, data__context="300", train__batch="21")
    assert "train.batch = 21 is larger than the 20 windows of 300 + 1 vectors" in error.message
    assert "Set train.batch to 20 at most" in error.hint
    error = refused(folder, data__context="300", train__batch="2", train__steps_per_epoch="0")
    assert "larger than the 1 window" in error.message
    assert "or data.stride, which gives more windows" in error.hint


def test_a_model_larger_than_the_memory_is_refused(tmp_path: Path) -> None:
    huge = {"data.path": str(write_set(tmp_path / "set", [20] * 20)), "data.context": "20"}
    huge |= {"model.hidden": "8192", "model.layers": "64"}
    with pytest.raises(RecipeError, match="of memory") as raised:
        check_recipe(recipe.load("demo", huge))
    assert "Lower model.hidden" in raised.value.hint


def test_missing_lanes_and_damaged_files_are_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [20] * 20)
    error = refused(folder, data__lanes="given")
    assert "has no lanes.npy" in error.message
    assert "data.lanes = auto" in error.hint
    np.save(folder / "lanes.npy", np.zeros(400, np.int8))
    assert check_recipe(recipe.load("demo", {"data.path": str(folder), "data.lanes": "given"}))
    np.save(folder / "documents.npy", np.zeros(3))
    assert "holds float64 of the shape (3,) for 400 vectors" in refused(folder).message
    (folder / "vectors.npy").write_bytes(b"\x93NUMPY nonsense")
    assert "cannot be read as an array" in refused(folder).message
    np.save(folder / "vectors.npy", np.array([{}]), allow_pickle=True)
    assert "cannot be read as an array" in refused(folder).message
    np.save(folder / "vectors.npy", np.ones((3, 4), np.int32))
    assert "float16 or float32 is needed" in refused(folder).message


def test_nothing_is_made_of_a_refused_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "set", [20] * 20)
    with pytest.raises(DataError, match="a context of 1000"):
        launcher.launch("runs.db", "phase-3", {"data": "set"})
    assert not (tmp_path / "runs.db").exists()


@pytest.fixture
def lvmtui(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command line prints that must succeed."""
    from lvmtui.cli import main

    def call(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return call


def test_phases_lists_and_shows(lvmtui: Callable[..., str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    listed = lvmtui("phases")
    assert "75.65 in a pool of 115" in listed
    records = {record["phase"]: record for record in json.loads(lvmtui("phases", "--json"))}
    assert records["phase-3"]["published"]["hit5"] == 0.7565
    assert records["phase-3"]["published"]["intervals"]["hit5"] == pytest.approx([0.671, 0.826], abs=1e-3)
    assert records["phase-4"]["published"] is None
    shown = lvmtui("phases", "phase-3-published")
    for words in (
        "published Hit@5   75.65 [67.1, 82.6]",
        "115 queries, which were the candidates as well",
        "legacy, not comparable",
        "wrong with it",
        "[train]",
        "accumulation",
    ):
        assert words in shown
    assert "experts" not in shown.partition("[model]")[2].partition("[loss]")[0]
    record = json.loads(lvmtui("phases", "phase-1", "--json"))
    assert record["recipe"]["data"]["context"] == 100


def test_launch_says_how_many_parameters_the_model_has(
    lvmtui: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "set", [20] * 20)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    words = [
        "-o",
        "data=set",
        "-o",
        "context=8",
        "-o",
        "min_context=0",
        "-o",
        "model.name=gru",
        "-o",
        "batch=4",
    ]
    assert "gru of " in lvmtui("launch", "phase-1", *words)
    printed = lvmtui("launch", "phase-1..phase-2", "--seeds", "2", *words)
    assert "#3, #4 and #5 wait: each run that ends starts the next" in printed
    assert "group:phase-1..phase-2@2; `lvmtui stop --group 2` ends all of it" in printed
    assert "phase-1 #4 is out of the queue" in lvmtui("stop", "4")
    assert "phase-1..phase-2@2" in lvmtui("ls")
