"""Vectors that a small model can learn from, and trainings on them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.split import SplitView
from tests.engine.live.bench import Training, a_recipe, a_training, walks


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SplitView]:
    return walks(tmp_path_factory.mktemp("walks"))


@pytest.fixture
def training(splits: dict[str, SplitView], tmp_path: Path) -> Iterator[Callable[..., Training]]:
    """A training of the small recipe: `training({"train__lr": "0.1"}, alter=…)`."""
    made: list[Training] = []

    def make(changes: dict[str, str] | None = None, **more: Any) -> Training:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(a_training(more.pop("data", splits), folder, a_recipe(**(changes or {})), **more))
        return made[-1]

    yield make
    for one in made:
        one.trainer.reporter.close()
        one.database.close()
