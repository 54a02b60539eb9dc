"""Promotes runs, and has what is promoted judged on the test split. Knows no screen."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui import launcher
from lvmtui.errors import CheckpointError, LvmtuiError, TrainingError
from lvmtui.format import interval, percent, plain_lines
from lvmtui.gates import Gate, as_record
from lvmtui.gates import promotion_gates as gates_of

if TYPE_CHECKING:
    import subprocess

    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Checkpoint, Evaluation, Promotion, Run

TEST_FAILED = "test_failed"
"""Kind of the event that says why a promoted checkpoint was not judged."""

LOG_NAME = "test.log"
"""What judging on the test split in the background says, in the run's folder."""


def promotion_gates(
    store_target: str | os.PathLike[str], run_id: int, *, test: bool = True
) -> tuple[Gate, ...]:
    """What speaks for and against promoting a run's best checkpoint.

    Args:
        test: whether promoting judges it on the test split.

    Raises:
        RunNotFound: there is no such run.
    """
    from lvmtui.store.reader import Reader

    with launcher.open_store(store_target, read_only=True) as database:
        return gates_of(Reader(database), run_id, test=test)


def promote(
    store_target: str | os.PathLike[str],
    run_id: int,
    *,
    alias: str = "champion",
    note: str = "",
    test: bool = True,
) -> Promotion:
    """Point an alias at a run's best checkpoint, the gates kept with it. This does not judge it on the test
    split yet: `test_arguments` and `start_test` do, once the promotion stands.

    Gates on quality may have failed: whoever calls this has shown them and asked.

    Raises:
        RunNotFound: there is no such run.
        CheckpointError: there is no best checkpoint, or its file is missing or damaged.
        IllegalTransition: it is in the trash.
    """
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    with launcher.open_store(store_target) as database:
        checked = gates_of(Reader(database), run_id, test=test)
        broken = [gate.words for gate in checked if gate.integrity and gate.passed is False]
        if broken:
            run = Reader(database).run(run_id)
            raise CheckpointError(
                f"{run.name} cannot be promoted: {'; '.join(broken)}",
                "A checkpoint is kept from the first evaluated epoch on; see `lvmtui show`.",
            )
        return Controller(database).promote(run_id, alias=alias, gates=as_record(checked), note=note)


def test_arguments(store_target: str | os.PathLike[str], promotion: Promotion) -> list[str]:
    """The engine's command line that judges what was promoted on the test split. Where that was done before
    it says so and reads nothing."""
    return [
        "evaluate",
        str(promotion.run_id),
        *("--store", os.fspath(store_target)),
        *("--split", "test"),
        *("--checkpoint", str(promotion.checkpoint_id)),
        *("--by", "promote"),
    ]


@dataclass(frozen=True)
class Judging:
    """A judging on the test split that goes on by itself, and writes its result to the store."""

    process: subprocess.Popen[bytes]
    log: Path
    begins: int
    """Where in the log it begins."""

    def reason(self) -> str:
        """Why it failed, by its log."""
        with self.log.open("rb") as file:
            file.seek(self.begins)
            lines = plain_lines(file.read().decode(errors="replace").strip())
        errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        told = lines[errors[-1] :] if errors else lines[-1:]
        return "\n".join(told).removeprefix("error: ").replace("\nhint: ", "\n")


def start_test(store_target: str | os.PathLike[str], promotion: Promotion) -> Judging:
    """Begin to judge what was promoted on the test split, in the background.

    Raises:
        OSError: the process or its log cannot be made.
    """
    from lvmtui.store.reader import Reader

    with launcher.open_store(store_target, read_only=True) as database:
        log = launcher.run_folder(database, Reader(database).run(promotion.run_id)) / LOG_NAME
    begins = log.stat().st_size if log.exists() else 0
    process = launcher.start_engine(test_arguments(store_target, promotion), log)
    launcher.collect(process)
    return Judging(process, log, begins)


def report_failure(store_target: str | os.PathLike[str], promotion: Promotion, judging: Judging) -> None:
    """Have an event say why a judging failed, if it does, for those who look from elsewhere. Does not wait;
    when this process ends first, only the log says so."""
    threading.Thread(
        target=_report_failure, args=(store_target, promotion, judging), name="judging", daemon=True
    ).start()


def _report_failure(store_target: str | os.PathLike[str], promotion: Promotion, judging: Judging) -> None:
    from lvmtui.store.control import Controller
    from lvmtui.store.records import Severity

    if not judging.process.wait():
        return
    with suppress(LvmtuiError, OSError), launcher.open_store(store_target) as database:
        message = f"not judged on the test split: {' '.join(judging.reason().split())}"
        Controller(database).record(promotion.run_id, TEST_FAILED, message, Severity.ERROR)


def test_result(store_target: str | os.PathLike[str], promotion: Promotion) -> str:
    """What the promoted checkpoint scored on the test split, in words.

    Raises:
        TrainingError: the store has no such score.
    """
    from lvmtui.leaderboard.verdicts import strongest
    from lvmtui.store.looks import test_evaluation, test_looks
    from lvmtui.store.reader import Reader

    with launcher.open_store(store_target, read_only=True) as database:
        reader = Reader(database)
        run = reader.run(promotion.run_id)
        checkpoint = _promoted(reader, promotion)
        evaluation = test_evaluation(reader, checkpoint) if checkpoint else None
        if evaluation is None:
            raise TrainingError(f"{run.name} has no score on the test split", "See its folder's test.log.")
        baseline = strongest(reader.baselines(evaluation.protocol_id), split="test")
        return test_words(run, evaluation, baseline, test_looks(reader, run.data_fingerprint or ""))


def test_words(run: Run, evaluation: Evaluation, baseline: Evaluation | None, looks: int) -> str:
    """A score on the test split, in words.

    Args:
        run: the run.
        evaluation: its evaluation there.
        baseline: the strongest baseline there; None: none was judged.
        looks: how often the split was looked at.
    """
    from lvmtui.leaderboard.verdicts import sentence, worth
    from lvmtui.store.looks import words

    return (
        f"{run.name} on the test split: Hit@5 {_with_interval(evaluation)}. "
        f"{sentence(worth(evaluation, baseline, run.targets))}. The split was {words(looks)}."
    )


def _promoted(reader: Reader, promotion: Promotion) -> Checkpoint | None:
    found = reader.checkpoints(promotion.run_id)
    return next((item for item in found if item.id == promotion.checkpoint_id), None)


def _with_interval(evaluation: Evaluation) -> str:
    bounds = evaluation.hit5_interval
    return f"{percent(evaluation.hit5)} {interval(bounds.low, bounds.high) if bounds else ''}".strip()
