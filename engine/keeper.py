"""Which checkpoints a run keeps: the best, the last, and those that were promoted."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine import checkpoint
from engine.position import Position
from engine.reporter import log
from lvmtui.errors import CheckpointError
from lvmtui.store.records import Checkpoint, Event, Severity
from lvmtui.store.writer import Writer


class CheckpointKeeper:
    """Writes the checkpoints of one run and removes those that are of no more use.

    Args:
        root: the store's folder, which checkpoint paths are relative to.
        folder: the run's folder in it.
    """

    def __init__(self, root: Path, folder: str) -> None:
        self._root = root
        self._folder = root / folder / "checkpoints"
        self.saved_step: int | None = None
        """Optimiser steps that the newest checkpoint holds."""

    def save(
        self, position: Position, value: float | None, state: Callable[[], Mapping[str, Any]]
    ) -> tuple[Checkpoint | None, list[Event]]:
        """Write a checkpoint of this moment.

        Args:
            position: where training stands; what is best is noted in it.
            value: the watched metric of these very weights; None where they were not judged.
            state: everything to save, asked for once `position` is up to date.

        Returns:
            The row for the file, or None and an event saying why there is no file.
        """
        kept = position.saved_best
        best = value is not None and (kept is None or value > kept)
        position.saved_best = value if best else kept
        path = checkpoint.checkpoint_path(self._folder, position.step)
        try:
            written = checkpoint.save(path, state())
        except CheckpointError as error:
            position.saved_best = kept
            log.error("%s", error)
            return None, [Event("checkpoint_failed", str(error), time.time(), Severity.ERROR)]
        self.saved_step = position.step
        row = Checkpoint(
            path=str(path.relative_to(self._root)),
            epoch=position.epoch,
            step=position.step,
            time=time.time(),
            sha256=written.sha256,
            size=written.size,
            is_best=best,
            is_last=True,
            value=value,
        )
        return row, []

    def remove_superseded(self, writer: Writer) -> None:
        """Drop the files that are neither best nor last any more, once the newer one's row is committed."""
        superseded = writer.superseded_checkpoints()
        if superseded:
            writer.forget_checkpoints([row.id for row in superseded])
        for row in superseded:
            (self._root / row.path).unlink(missing_ok=True)
