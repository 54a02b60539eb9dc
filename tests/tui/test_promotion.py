"""Promoting from the dashboard: what is promoted is judged on the test split in the background."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lvmtui import launcher
from lvmtui.screens.confirm import GatesScreen
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Status
from lvmtui.store.reader import Reader
from tests.tui.driving import opened, text, until

SMALL = {
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


def told(app) -> str:
    return "\n".join(notice.message for notice in app._notifications)


@pytest.fixture
def trained(tmp_path: Path, wait_until) -> Iterator[Path]:
    """A store with a run that was trained on a small vector set."""
    (tmp_path / "vectors").mkdir()
    rng = np.random.default_rng(0)
    walks = 0.4 * np.cumsum(rng.normal(size=(40, 12, 16)), axis=1) + rng.normal(size=(40, 12, 16))
    np.save(tmp_path / "vectors" / "vectors.npy", walks.reshape(-1, 16).astype(np.float32))
    np.save(tmp_path / "vectors" / "documents.npy", np.repeat(np.arange(40), 12))
    store = tmp_path / "runs.db"
    launcher.launch(str(store), "phase-1", SMALL | {"data": str(tmp_path / "vectors")})
    database = Database.open(store, create=False)
    wait_until(lambda: Reader(database).run(1).status is Status.DONE, "the end of the run")
    assert Reader(database).run(1).error is None
    database.close()
    return store


@pytest.mark.slow
async def test_the_promoted_checkpoint_is_judged_in_the_background(trained: Path) -> None:
    async with opened(trained) as (app, pilot):
        await until(pilot, lambda: app.focused_run == 1)
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, GatesScreen))
        await until(pilot, lambda: "promoting reads it once" in text(app), "the gates")
        await pilot.press("y")
        await until(pilot, lambda: "judging it on the test split" in told(app), "the promotion")
        await until(pilot, lambda: "on the test split: Hit@5" in told(app), "the result", seconds=120)
        assert "The split was looked at once so far." in told(app)
        reader = Reader(Database.open(trained, create=False, read_only=True))
        kept = [item for item in reader.evaluations(1) if item.split == "test"]
        assert len(kept) == len(reader.events_of_kind("test_look")) == 1
        await until(pilot, lambda: app.view_of(1).test is not None, "the score on the test split")
        assert dataclasses.replace(app.view_of(1).test, ranks=b"") == dataclasses.replace(kept[0], ranks=b"")


@pytest.mark.slow
async def test_a_promotion_stands_without_the_test_split(trained: Path) -> None:
    (trained.parent / "vectors" / "vectors.npy").unlink()
    async with opened(trained) as (app, pilot):
        await until(pilot, lambda: app.focused_run == 1)
        await pilot.press("P")
        await until(pilot, lambda: "promoting reads it once" in text(app), "the gates")
        await pilot.press("y")
        await until(pilot, lambda: "was not judged on the test split" in told(app), "why not", seconds=60)
        assert "vectors.npy" in told(app)
        await until(pilot, lambda: app.view_of(1).aliases == ("champion",), "the champion")
    reader = Reader(Database.open(trained, create=False, read_only=True))
    assert reader.events_of_kind("test_look") == []
