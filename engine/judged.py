"""What judging a checkpoint or the baselines came to, as lines and as JSON. Needs no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.verdict import verdict
from lvmtui.errors import CheckpointError, IllegalTransition
from lvmtui.store import looks
from lvmtui.store.lifecycle import Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import Checkpoint, Evaluation, Interval, Protocol, Run
from lvmtui.versus import KEY, as_details, versus_of

Which = Literal["best", "last"] | int
"""A checkpoint: by what it is to its run, or by its id."""

_SCORES = ("hit1", "hit5", "hit10", "mrr")
_SHOWN = {KEY, "mrr_interval"}
"""Details that have places of their own."""
_TITLES = ("", "Hit@1", "Hit@5", "Hit@10", "MRR", "cosine", "copy-ness")


@dataclass(frozen=True)
class Judged:
    """One checkpoint on one split, beside its baselines."""

    run: Run
    checkpoint: Checkpoint
    evaluation: Evaluation
    """With its ranks, and compared with its baselines."""
    baselines: tuple[Evaluation, ...]
    """Under the same protocol and context, weakest first by Hit@5."""
    protocol: Protocol
    looks: int
    """Looks at the test split of these data so far, this one included."""
    from_store: bool = False
    """Whether this checkpoint was judged on test before: nothing was read now."""
    reproduced: str = ""
    """How the ranks on validation compare with the stored ones, in words."""

    @property
    def skill(self) -> float | None:
        """Share of what the strongest baseline leaves that is gained: (Hit@5 - baseline) / (1 - baseline)."""
        bar = max((item.hit5 for item in self.baselines), default=1.0)
        for item in versus_of(self.evaluation)[:1]:
            bar = self.evaluation.hit5 - item.difference
        return (self.evaluation.hit5 - bar) / (1 - bar) if bar < 1 else None


def stored_test(reader: Reader, run: Run, checkpoint: Checkpoint) -> Judged | None:
    """What this very checkpoint scored on the test split before; None where it was never judged there."""
    evaluation = looks.test_evaluation(reader, checkpoint)
    if evaluation is None:
        return None
    protocol = next((item for item in reader.protocols() if item.id == evaluation.protocol_id), None)
    if protocol is None:
        return None
    known = reader.baselines(protocol.id)
    return Judged(
        run,
        checkpoint,
        evaluation,
        tuple(item for item in known if item.context == evaluation.context),
        protocol,
        looks.test_looks(reader, protocol.data_fingerprint),
        from_store=True,
    )


def checkpoint_of(reader: Reader, run: Run, which: Which) -> Checkpoint:
    """A checkpoint of a run that has begun to train.

    Raises:
        IllegalTransition: it has not.
        CheckpointError: it has no such checkpoint.
    """
    if run.status in {Status.QUEUED, Status.STARTING}:
        raise IllegalTransition(
            f"{run.name} cannot be evaluated: it is {run.status}", "Wait for its first evaluated epoch."
        )
    rows = reader.checkpoints(run.id)
    is_it: Callable[[Checkpoint], bool] = {
        "best": lambda row: row.is_best,
        "last": lambda row: row.is_last,
    }.get(str(which), lambda row: row.id == which)
    row = next(filter(is_it, rows), None)
    if row is None:
        raise CheckpointError(
            f"{run.name} has no {'' if isinstance(which, int) else which + ' '}checkpoint"
            f"{f' with the id {which}' if isinstance(which, int) else ''}",
            "A checkpoint is kept from the first evaluated epoch on; see `lvmtui show`.",
        )
    return row


def judged_lines(judged: Judged) -> list[str]:
    """A short table with intervals, and what it means."""
    run, evaluation = judged.run, judged.evaluation
    rows = [(run.name, evaluation), *((item.baseline or "", item) for item in reversed(judged.baselines))]
    lines = [
        f"{run.name}, checkpoint of epoch {judged.checkpoint.epoch}, on the {evaluation.split} split",
        protocol_line(judged.protocol, evaluation),
        "",
        *score_lines(rows),
        "",
        verdict(evaluation, judged.baselines, "hit5"),
    ]
    if judged.skill is not None:
        lines.append(f"skill {_signed(judged.skill)} %: of what the best baseline leaves, the share gained")
    detectable = next((item.detectable for item in versus_of(evaluation)), None)
    if detectable:
        lines.append(f"these queries show a true difference of {100 * detectable:.1f} points with power 80 %")
    if judged.reproduced:
        lines.append(f"check on validation: {judged.reproduced}")
    if judged.from_store:
        lines.append(
            "from the store: this checkpoint was judged on the test split before; it was not read again"
        )
    lines.append(f"the test split of these data was {looks.words(judged.looks)}")
    return lines


def judged_record(judged: Judged) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "run": judged.run.name,
        "run_id": judged.run.id,
        "checkpoint": judged.checkpoint.path,
        "verdict": verdict(judged.evaluation, judged.baselines, "hit5"),
        "skill": judged.skill,
        "looks": judged.looks,
        "from_store": judged.from_store,
        "reproduced": judged.reproduced,
        "protocol": protocol_record(judged.protocol),
        **evaluation_record(judged.evaluation),
        "versus": as_details(versus_of(judged.evaluation)),
        "baselines": [evaluation_record(item) for item in judged.baselines],
    }


def baselines_lines(protocol: Protocol, baselines: Sequence[Evaluation]) -> list[str]:
    """What can be had without training, best first."""
    rows = [(item.baseline or "", item) for item in sorted(baselines, key=_strength, reverse=True)]
    flaws = [f"! {flaw}" for flaw in protocol.spec.get("flaws", ())]
    return [
        f"baselines on the {protocol.split} split: what can be predicted without training",
        protocol_line(protocol, rows[0][1]),
        *flaws,
        "",
        *score_lines(rows),
    ]


def baselines_record(protocol: Protocol, baselines: Sequence[Evaluation]) -> dict[str, Any]:
    """The same as JSON."""
    ordered = sorted(baselines, key=_strength, reverse=True)
    return {
        "protocol": protocol_record(protocol),
        "baselines": [evaluation_record(item) for item in ordered],
    }


def _strength(evaluation: Evaluation) -> tuple[float, float]:
    return evaluation.hit5, evaluation.mrr


def protocol_line(protocol: Protocol, evaluation: Evaluation) -> str:
    """What was judged on, in a line."""
    return (
        f"{protocol.name}, id {protocol.id}, data {protocol.data_fingerprint}: n {_grouped(protocol.n)}, "
        f"pool {_grouped(protocol.pool)}, context {_grouped(evaluation.context)}; 95 % intervals: "
        f"{evaluation.interval_method}"
    )


def protocol_record(protocol: Protocol) -> dict[str, Any]:
    """A protocol as JSON."""
    return {
        "id": protocol.id,
        "name": protocol.name,
        "data": protocol.data_fingerprint,
        "split": protocol.split,
        "n": protocol.n,
        "pool": protocol.pool,
        "documents": protocol.documents,
        "duplicate_share": protocol.duplicate_share,
        "spec": dict(protocol.spec),
    }


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON, without its ranks."""
    return {
        "baseline": evaluation.baseline,
        "split": evaluation.split,
        "epoch": evaluation.epoch,
        "context": evaluation.context,
        **{name: getattr(evaluation, name) for name in _SCORES},
        **{f"{name}_interval": _bounds(_interval(evaluation, name)) for name in _SCORES},
        "interval_method": evaluation.interval_method,
        "loss": evaluation.loss,
        "cosine": evaluation.cosine,
        "copyness": evaluation.copyness,
        "n": evaluation.n,
        "pool": evaluation.pool,
        "details": {
            key: value for key, value in evaluation.details.items() if key not in {KEY, "mrr_interval"}
        },
    }


def score_lines(rows: Sequence[tuple[str, Evaluation]]) -> list[str]:
    """A table of scores with their intervals, one line an evaluation."""
    cells = [_TITLES, *((name, *_cells(evaluation)) for name, evaluation in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_TITLES))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells)
    return ["  ".join(row).rstrip() for row in padded]


def _cells(evaluation: Evaluation) -> list[str]:
    cells = []
    for name in _SCORES:
        bounds, value = _interval(evaluation, name), float(getattr(evaluation, name))
        around = "" if bounds is None else f" [{_score(name, bounds.low)}, {_score(name, bounds.high)}]"
        cells.append(f"{_score(name, value)}{around}")
    return [
        *cells,
        *("" if value is None else f"{value:.3f}" for value in (evaluation.cosine, evaluation.copyness)),
    ]


def _interval(evaluation: Evaluation, name: str) -> Interval | None:
    if name == "mrr":
        bounds = evaluation.details.get("mrr_interval")
        return Interval(*bounds) if bounds else None
    found: Interval | None = getattr(evaluation, f"{name}_interval")
    return found


def _bounds(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _score(name: str, value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if name == "mrr" else f"{100 * value:.1f}"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _grouped(value: int) -> str:
    return f"{value:,}".replace(",", " ")
