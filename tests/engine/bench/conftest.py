"""A small run that was really trained, and its vectors."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lvmtui.recipe import build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import NewRun

ROWS, DIM = 480, 16


def queue(database: Database, data: Path) -> int:
    """A run that waits."""
    recipe = build(
        {
            "name": "small",
            "data": {"context": 8, "path": str(data)},
            "model": {"name": "gru", "hidden": 16, "layers": 1, "head": "composer"},
            "loss": {"bank": 64},
            "train": {"epochs": 2, "batch": 8, "accumulation": 1, "ema": 0.9, "threads": 1, "device": "cpu"},
            "stop": {"patience": 10},
        }
    )
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
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, whose run 1 has finished, and its vectors: 40 documents of 12."""
    root = tmp_path_factory.mktemp("trained")
    (root / "vectors").mkdir()
    random = np.random.default_rng(0)
    walks = 0.4 * np.cumsum(random.normal(size=(40, 12, DIM)), axis=1) + random.normal(size=(40, 12, DIM))
    np.save(root / "vectors" / "vectors.npy", walks.reshape(-1, DIM).astype(np.float16))
    np.save(root / "vectors" / "documents.npy", np.repeat(np.arange(40), 12))
    database = Database.open(root / "runs.db")
    run_id = queue(database, root / "vectors")
    database.close()
    command = [sys.executable, "-P", "-m", "engine", str(run_id), "--store", str(root / "runs.db")]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
    return root


@pytest.fixture
def store(trained: Path, tmp_path: Path) -> Iterator[Database]:
    """A copy of the store, to be written to; the vectors stay where they are."""
    place = tmp_path / "copy"
    shutil.copytree(trained, place)
    threads = torch.get_num_threads()
    database = Database.open(place / "runs.db", create=False)
    yield database
    database.close()
    torch.set_num_threads(threads)
