"""evaluate, baselines, and what promote does on the test split: real runs and real engine processes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lvmtui.store.database import Database
from lvmtui.store.reader import Reader

Command = Callable[..., "subprocess.CompletedProcess[str]"]

SMALL = {
    "data": "vectors",
    "context": "8",
    "model.name": "gru",
    "hidden": "8",
    "layers": "1",
    "batch": "16",
    "accumulation": "1",
    "epochs": "2",
    "threads": "1",
    "device": "cpu",
}


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command line in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "lvmtui", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small vector set and a store with a run that was trained on it."""
    folder = tmp_path_factory.mktemp("judge")
    (folder / "vectors").mkdir()
    rng = np.random.default_rng(0)
    walks = 0.4 * np.cumsum(rng.normal(size=(40, 12, 16)), axis=1) + rng.normal(size=(40, 12, 16))
    np.save(folder / "vectors" / "vectors.npy", walks.reshape(-1, 16).astype(np.float32))
    np.save(folder / "vectors" / "documents.npy", np.repeat(np.arange(40), 12))
    options = [word for key, value in SMALL.items() for word in ("-o", f"{key}={value}")]
    done = run(folder, "launch", "phase-1", "--wait", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A copy of its store. The recipe names the vectors where they were."""
    shutil.copytree(trained, tmp_path / "place")
    return tmp_path / "place"


def reader(place: Path) -> Reader:
    return Reader(Database.open(place / "runs.db", create=False, read_only=True))


@pytest.mark.slow
def test_evaluate_gives_the_stored_ranks_and_says_what_they_are_worth(place: Path) -> None:
    done = run(place, "evaluate", "last")
    assert done.returncode == 0, done.stderr
    best = reader(place).best_evaluation(reader(place).run(1))
    assert best is not None
    assert f"check on validation: all {best.n} ranks are those that training stored" in done.stdout
    assert "over the same queries" in done.stdout
    assert "skill " in done.stdout
    assert "the test split of these data was never looked at so far" in done.stdout


@pytest.mark.slow
def test_a_look_at_the_test_split_needs_a_yes_is_counted_and_taken_once(place: Path) -> None:
    refused = run(place, "evaluate", "1", "--split", "test")
    assert refused.returncode == 2
    assert "The test split of these data was never looked at so far." in refused.stderr
    assert "Judge phase-1 #1 on the test split: this needs a yes" in refused.stderr
    assert reader(place).events_of_kind("test_look") == []
    done = run(place, "evaluate", "1", "--split", "test", "-y", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["split"], record["looks"], record["from_store"]) == ("test", 1, False)
    promoted = run(place, "promote", "1", "-y")
    assert promoted.returncode == 0, promoted.stderr
    assert "it is not read again" in promoted.stderr
    assert "phase-1 #1 is now champion\n" in promoted.stdout
    assert "from the store: this checkpoint was judged on the test split before" in promoted.stdout
    assert len(reader(place).events_of_kind("test_look")) == 1


@pytest.mark.slow
def test_promote_judges_on_the_test_split_once(place: Path) -> None:
    done = run(place, "promote", "1", "-y", "--json")
    assert done.returncode == 0, done.stderr
    assert "✔ passed  test split: never looked at so far; promoting reads it once" in done.stderr
    record = json.loads(done.stdout)
    assert (record["alias"], record["test"]["split"], record["test"]["looks"]) == ("champion", "test", 1)
    (event,) = reader(place).events_of_kind("test_look")
    assert event.evidence["by"] == "promote"
    again = run(place, "promote", "1", "-y")
    assert "the test split of these data was looked at once so far" in again.stdout
    assert len(reader(place).events_of_kind("test_look")) == 1
    assert len(reader(place).promotions()) == 2


@pytest.mark.slow
def test_a_promotion_stands_where_the_test_split_cannot_be_judged(place: Path) -> None:
    database = Database.open(place / "runs.db", create=False)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET recipe = replace(recipe, '/vectors', '/gone')")
    database.close()
    done = run(place, "promote", "1", "-y")
    assert done.returncode == 0
    assert done.stdout == "phase-1 #1 is now champion\n"
    assert "/gone does not exist" in done.stderr
    assert "The promotion stands, but it was not judged on the test split." in done.stderr
    assert len(reader(place).promotions()) == 1
    assert reader(place).events_of_kind("test_look") == []


@pytest.mark.slow
def test_baselines_are_shown_and_kept_where_there_is_a_store(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "vectors", tmp_path / "vectors")
    done = run(tmp_path, "baselines", "vectors", "--context", "4")
    assert done.returncode == 0, done.stderr
    for name in ("random", "copy-last", "mean", "ewm", "ewm-whitened", "ridge", "nearest-successor"):
        assert f"\n{name} " in done.stdout
    assert "n 44, pool 48, context 4; 95 % intervals: bootstrap over 4 documents" in done.stdout
    assert not (tmp_path / "runs.db").exists()
    before = len(reader(place).all_evaluations())
    kept = json.loads(run(place, "baselines", "vectors", "--context", "4", "--json").stdout)
    assert len(reader(place).all_evaluations()) == before + len(kept["baselines"])
    ordered = [item["hit5"] for item in kept["baselines"]]
    assert ordered == sorted(ordered, reverse=True)
    assert run(place, "--readonly", "baselines", "vectors", "--context", "3").returncode == 0
    assert len(reader(place).all_evaluations()) == before + len(kept["baselines"])


@pytest.mark.slow
def test_baselines_of_the_legacy_protocol_come_with_what_is_wrong(place: Path) -> None:
    done = run(place, "baselines", "vectors", "--context", "4", "--stride", "1", "--protocol", "window-v0")
    assert done.returncode == 0, done.stderr
    assert "window-v0, id " in done.stdout
    assert "! Windows overlap and were split at random" in done.stdout


@pytest.mark.parametrize("options", [[], ["--split", "test", "-y"]], ids=" ".join)
def test_readonly_refuses(lvmtui, stored, options):  # type: ignore[no-untyped-def]
    stored.finished(0.3)
    done = lvmtui("--readonly", "evaluate", "1", *options)
    assert done.code == 2
    assert "--readonly is set" in done.err


def test_what_is_not_there_is_said(lvmtui, stored):  # type: ignore[no-untyped-def]
    assert "there is no run '7'" in lvmtui("evaluate", "7").err
    stored.finished(0.3)
    assert lvmtui("evaluate", "1", "--split", "train").code == 2
    assert lvmtui("baselines", "demo", "--protocol", "doc-v9").code == 2
