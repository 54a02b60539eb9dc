"""What is checked before a checkpoint is promoted. Numbers from the store and the checkpoint's file only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmtui import versus
from lvmtui.compare.comparing import NotPaired, paired_hits
from lvmtui.errors import CheckpointError, RemoteError
from lvmtui.format import interval, metric_name, metric_value, p_value, percent, signed, thousands
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.store import looks
from lvmtui.store.looks import test_looks
from lvmtui.store.records import Checkpoint, Evaluation, Protocol, Run

if TYPE_CHECKING:
    from lvmtui.stats import Comparison
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Versus

__all__ = ["Gate", "as_record", "gates_from", "promotion_gates", "sha256_of", "test_looks"]

MOST_GATES, LONGEST_WORDS = 50, 1000
"""Taken of what another machine tells."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One check and what came of it."""

    name: str
    passed: bool | None
    """None: nothing to pass or fail, or it cannot be told."""
    words: str
    """What was found, in a line."""
    integrity: bool = False
    """A failure means that there is nothing sound to promote: it cannot be waved through."""

    @property
    def glyph(self) -> str:
        return "·" if self.passed is None else "✔" if self.passed else "✖"

    @property
    def verdict(self) -> str:
        """The same in a word."""
        return "note" if self.passed is None else "passed" if self.passed else "failed"


def promotion_gates(reader: Reader, run_id: int, *, test: bool = True) -> tuple[Gate, ...]:
    """Check a run's best checkpoint.

    Args:
        test: whether promoting judges it on the test split.

    Raises:
        RunNotFound: there is no such run.
        CheckpointError: the file is there but cannot be read.
    """
    run = reader.run(run_id)
    best = reader.best_evaluation(run)
    checkpoint = next((item for item in reader.checkpoints(run_id) if item.is_best), None)
    gates = [_file_gate(run, checkpoint, reader.database.location.root)]
    if best is None:
        return (*gates, Gate("evaluation", False, "the run has no evaluation", integrity=True))
    gates.append(_agreement_gate(run, best, checkpoint))
    protocol = next((item for item in reader.protocols() if item.id == best.protocol_id), None)
    gates.append(_baseline_gate(best, strongest(reader.baselines(best.protocol_id)), protocol))
    gates += [_target_gate(best, name, target) for name, target in run.targets.items()]
    gates.append(_protocol_gate(best, protocol))
    if checkpoint is not None and run.data_fingerprint:
        gates.append(_test_gate(reader, checkpoint, run.data_fingerprint, test=test))
    return tuple(gates)


def as_record(gates: Sequence[Gate]) -> dict[str, Any]:
    """The gates as they are kept with the promotion."""
    return {gate.name: {"passed": gate.passed, "words": gate.words} for gate in gates}


def gates_from(data: Mapping[str, Any]) -> tuple[Gate, ...]:
    """The gates that another machine has checked (the operation `gates`). It may tell anything: what is not
    clear counts as failed.

    Raises:
        RemoteError: there are none.
    """
    items = data.get("gates")
    if not isinstance(items, list) or not items:
        raise RemoteError("the host does not say what speaks for and against promoting it")
    return tuple(_gate_from(item if isinstance(item, dict) else {}) for item in items[:MOST_GATES])


def _gate_from(told: Mapping[str, Any]) -> Gate:
    passed = told.get("passed", False)
    return Gate(
        name=str(told.get("name", "?"))[:LONGEST_WORDS],
        passed=passed if passed is None or isinstance(passed, bool) else False,
        words=str(told.get("words", ""))[:LONGEST_WORDS],
        integrity=told.get("integrity") is True,
    )


def sha256_of(path: Path) -> str:
    """The file's sha256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_gate(run: Run, checkpoint: Checkpoint | None, root: Path) -> Gate:
    name = "checkpoint file"
    if checkpoint is None:
        return Gate(name, False, f"{run.name} has no best checkpoint", integrity=True)
    path = root / checkpoint.path
    try:
        found = sha256_of(path)
    except (FileNotFoundError, IsADirectoryError):
        return Gate(name, False, f"{path} is missing", integrity=True)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if found != checkpoint.sha256:
        words = f"{path} is damaged: sha256 {found[:12]}… instead of {checkpoint.sha256[:12]}…"
        return Gate(name, False, words, integrity=True)
    return Gate(name, True, f"{checkpoint.path}, sha256 {found[:12]}… as recorded", integrity=True)


def _agreement_gate(run: Run, best: Evaluation, checkpoint: Checkpoint | None) -> Gate:
    name = "best epoch"
    if checkpoint is None or checkpoint.epoch == best.epoch:
        return Gate(name, True, f"epoch {best.epoch} by {metric_name(run.watch)}")
    words = f"the checkpoint is of epoch {checkpoint.epoch}, the best evaluation of epoch {best.epoch}"
    return Gate(name, False, words, integrity=True)


def _baseline_gate(best: Evaluation, baseline: Evaluation | None, protocol: Protocol | None) -> Gate:
    name = "beats the best baseline"
    if baseline is None:
        return Gate(name, None, "no baseline was judged under its protocol")
    scores = f"Hit@5 {percent(best.hit5)} against {percent(baseline.hit5)} of {baseline.baseline}"
    try:
        paired = _paired(best, baseline, protocol)
    except NotPaired as error:
        return Gate(name, None, f"{scores}; {error}")
    if paired is not None:
        bounds = paired.interval
        gain = f"{signed(paired.difference)} [{signed(bounds.low)}, {signed(bounds.high)}]"
        return Gate(name, bounds.low > 0, f"{scores}: {gain}, {p_value(paired.p)} (paired over documents)")
    alone = best.hit5_interval
    if alone is None:
        return Gate(name, best.hit5 > baseline.hit5, f"{scores} (no interval)")
    words = f"{scores}, 95 % interval {interval(alone.low, alone.high)}"
    return Gate(name, alone.low > baseline.hit5, words)


def _paired(best: Evaluation, baseline: Evaluation, protocol: Protocol | None) -> Versus | Comparison | None:
    """The two compared over the same queries: as stored with the evaluation, or from the ranks; None where
    ranks or documents are not known.

    Raises:
        NotPaired: they cannot be compared.
    """
    stored = versus.against(best, baseline)
    if stored is not None:
        return stored
    if best.ranks and baseline.ranks and protocol is not None and protocol.query_groups:
        return paired_hits(best, baseline, protocol)
    return None


def _target_gate(best: Evaluation, name: str, target: float) -> Gate:
    value = float(getattr(best, name))
    label = metric_name(name)
    words = f"{label} {metric_value(name, value)}, target {metric_value(name, target)}"
    return Gate(f"target {label}", value >= target, words)


def _protocol_gate(best: Evaluation, protocol: Protocol | None) -> Gate:
    words = (
        f"n {thousands(best.n)}, pool {thousands(best.pool)}, {best.split} split, protocol {best.protocol_id}"
    )
    if protocol is not None:
        words += f" ({protocol.name}, data {protocol.data_fingerprint})"
    return Gate("judged on", None, words)


def _test_gate(reader: Reader, checkpoint: Checkpoint, fingerprint: str, *, test: bool) -> Gate:
    """Whether the test split's score will be of a first look."""
    so_far = test_looks(reader, fingerprint)
    known = looks.test_evaluation(reader, checkpoint)
    after = so_far
    if known is not None:
        bounds = known.hit5_interval
        around = f" {interval(bounds.low, bounds.high)}" if bounds else ""
        what = f"this checkpoint scored Hit@5 {percent(known.hit5)}{around} there, and it is not read again"
    elif test:
        after += 1
        what = "promoting reads it once"
    else:
        what = "promoting does not read it now"
    warning = "" if after <= 1 else ": the more looks, the less a score there proves"
    return Gate("test split", after <= 1, f"{looks.words(so_far)}; {what}{warning}")
