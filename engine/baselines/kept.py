"""Baselines out of the store: computed once for data, protocol and context, by whoever needs them first."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import torch

from engine.baselines.compute import NAMES, check_copy_last, compute_baselines
from engine.data.split import SplitView
from engine.evaluate import Judge
from lvmtui.store.reader import Reader
from lvmtui.store.records import QUERY_FACTS, Evaluation
from lvmtui.store.writer import Writer

log = logging.getLogger("engine")
Value = TypeVar("Value")


class Call(Protocol):
    """Does something with the store's writer and returns its value, as `Reporter.call` does."""

    def __call__(self, work: Callable[[Writer], Value], /) -> Value: ...


def kept_baselines(
    judge: Judge,
    splits: Mapping[str, SplitView],
    *,
    context: int,
    device: torch.device,
    call: Call,
    tuned: Sequence[Evaluation] = (),
) -> list[Evaluation]:
    """The baselines under a judge's protocol and a context, weakest first by Hit@5, ranks included.

    What the store has is taken from there, after copying the last vector has given the ranks that it has of
    it. What it lacks is computed and stored; where another process was faster its rows stand, and both go by
    them. Protocol and query facts are stored as well.

    A run's start calls it with `call=reporter.call`, in place of computing baselines itself, and hands what
    it returns to `tuned_start`. What the trainer measures its model by (`validate(…, baselines=)` and
    `verdict`) is `rivals(judge, reporter.call)`, called after this.

    Args:
        judge: of any split.
        context: vectors that a prediction may look at.
        device: where predictions are computed.
        call: gives the writer.
        tuned: for the test split: the baselines of the validation split, whose choices stand.

    Raises:
        DataError: the data cannot be judged on.
        TrainingError: the store's copy-last has other ranks.
    """

    def stored(writer: Writer) -> list[Evaluation]:
        writer.save_protocol(judge.protocol)
        found = Reader(writer.database).baselines(judge.protocol.id)
        return [evaluation for evaluation in found if evaluation.context == context]

    known = call(stored)
    copy_last = next((item for item in known if item.baseline == "copy-last"), None)
    if copy_last is not None:
        check_copy_last(judge, copy_last)
    missing = set(NAMES) - {item.baseline for item in known}
    if missing:
        log.info("computing the baselines")
        computed = compute_baselines(
            splits, judge, context=context, device=device, names=missing, tuned=tuned or known
        )

        def save(writer: Writer) -> list[Evaluation]:
            for evaluation in computed:
                writer.save_baseline(evaluation)
            return stored(writer)

        known = call(save)
    _keep_facts(judge, splits, call)
    return known


def rivals(judge: Judge, call: Call) -> list[Evaluation]:
    """What a model under this protocol is measured by: `rivals_among` the baselines of any context in the
    store."""
    known = call(lambda writer: Reader(writer.database).baselines(judge.protocol.id))
    return rivals_among(known)


def rivals_among(baselines: Sequence[Evaluation]) -> list[Evaluation]:
    """The strongest of the baselines of one protocol, by Hit@5, then copy-last if that is another."""
    if not baselines:
        return []
    strongest = max(baselines, key=lambda item: (item.hit5, item.mrr))
    copies = [item for item in baselines if item.baseline == "copy-last"]
    return [strongest] + (copies[:1] if strongest.baseline != "copy-last" else [])


def _keep_facts(judge: Judge, splits: Mapping[str, SplitView], call: Call) -> None:
    """Store what is known of the protocol's queries, where the store does not have it. Given lanes are no
    part of the data's fingerprint: they may have been changed, added or removed since."""
    from engine.data.vectors import LANES
    from engine.facts import query_facts
    from engine.lanes import GIVEN

    protocol_id = judge.protocol.id
    known = call(lambda writer: Reader(writer.database).query_facts(protocol_id))
    if known.keys() >= set(QUERY_FACTS):
        were_given = known["lane"].meta.get("source") == GIVEN
        if not were_given and not (judge.split.data.path / LANES).exists():
            return

    facts = query_facts(judge, splits["train"])
    call(lambda writer: writer.save_query_facts(protocol_id, facts))
