"""What is known of a run, once: columns, sorting, filters and `lvmtui ls` all take it from here.

Scores are those of a run's best evaluation, never of its last. Nothing heavy is imported.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType

from lvmtui import format as fmt
from lvmtui.latencies import milliseconds
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.leaderboard.verdicts import SHORT, Verdict, Worth, badge, skill, worth
from lvmtui.remaining import remaining_of
from lvmtui.remote import hosts
from lvmtui.snapshot import RunView, State
from lvmtui.store.records import GROUP_PREFIX, Evaluation, Versus

DEFAULT_SORT = "started"

HERE = "here"
"""In filters, the host of runs that are in the store here."""

Value = str | float | None


class Kind(StrEnum):
    """What the values of a field are."""

    TEXT = "text"
    NUMBER = "number"
    SHARE = "share"
    """A fraction, written in percent (`lvmtui.format.percent`)."""
    SECONDS = "seconds"
    """A span of time."""
    MOMENT = "moment"
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class RunField:
    """One thing known of runs."""

    key: str
    title: str
    """Heading of its column."""
    help: str
    """What it is, as a sentence without a full stop."""
    kind: Kind
    value: Callable[[RunView], Value]
    """The bare value; None where it is not known. NaN counts as None."""
    write: Callable[[RunView], str] | None = None
    """How it is written; None: the way of its kind."""
    order: Callable[[RunView], Value] | None = None
    """What it is sorted by, where that is not the value."""
    best_first: bool = False
    """Sorted from the highest down, unless reversed."""
    several: bool = False
    """The value is several texts with commas between them."""
    aliases: tuple[str, ...] = ()
    """Other names that filters know it by."""

    @property
    def right(self) -> bool:
        """Whether its column is aligned at the right."""
        return self.kind is not Kind.TEXT

    def written(self, view: RunView) -> str:
        """The value as it is shown, harmless and on one line; `–` for a number that is not known."""
        return self.write(view) if self.write is not None else _WRITERS[self.kind](self.value(view))


def _written_text(value: Value) -> str:
    return fmt.plain(str(value)) if value else ""


def _written_number(value: Value) -> str:
    if isinstance(value, int):
        return fmt.thousands(value)
    return fmt.number(_float(value))


def _float(value: Value) -> float | None:
    return None if value is None else float(value)


_WRITERS: Mapping[Kind, Callable[[Value], str]] = {
    Kind.TEXT: _written_text,
    Kind.NUMBER: _written_number,
    Kind.SHARE: lambda value: fmt.percent(_float(value)),
    Kind.SECONDS: lambda value: fmt.duration(_float(value)),
    Kind.MOMENT: lambda value: fmt.stamp(_float(value)),
}

_STATE_ORDER = {
    state: place
    for place, state in enumerate(
        (
            State.RUNNING,
            State.STARTING,
            State.STOPPING,
            State.QUEUED,
            State.LOST,
            State.FAILED,
            State.STOPPED,
            State.EARLY_STOPPED,
            State.COMPLETED,
        )
    )
}
_VERDICT_ORDER = {verdict: len(Verdict) - place for place, verdict in enumerate(Verdict)}


def _of_best(pick: Callable[[Evaluation], Value]) -> Callable[[RunView], Value]:
    return lambda view: None if view.best is None else pick(view.best)


def _worth(view: RunView) -> Worth | None:
    return None if view.best is None else worth(view.best, view.baseline, view.run.targets)


def _gain(view: RunView) -> float | None:
    return None if view.best is None or view.baseline is None else view.best.hit5 - view.baseline.hit5


def _skill(view: RunView) -> float | None:
    if view.best is None or view.baseline is None:
        return None
    return skill(view.best.hit5, view.baseline.hit5)


def _versus(view: RunView) -> Versus | None:
    found = _worth(view)
    return found.versus if found else None


def _p(view: RunView) -> float | None:
    found = _versus(view)
    return found.p if found else None


def _verdict(view: RunView) -> Verdict | None:
    found = _worth(view)
    return found.verdict if found else None


def _verdict_words(view: RunView) -> str:
    verdict = _verdict(view)
    return SHORT[verdict] if verdict else ""


def _verdict_order(view: RunView) -> int | None:
    verdict = _verdict(view)
    return _VERDICT_ORDER[verdict] if verdict else None


def _left(view: RunView) -> float | None:
    left = remaining_of(view.run) if view.state.is_active else None
    return left.worst if left else None


def _to_beat(view: RunView) -> float | None:
    return view.run.progress.value_to_beat if view.state.is_active else None


def _to_beat_written(view: RunView) -> str:
    return fmt.metric_value(view.run.watch, _to_beat(view))


def _epoch_written(view: RunView) -> str:
    progress = view.run.progress
    goes_on = view.state.is_active or view.state is State.QUEUED
    return f"{progress.epoch}/{progress.epochs}" if goes_on else str(progress.epoch)


def _patience_written(view: RunView) -> str:
    progress = view.run.progress
    return f"{progress.patience_used}/{progress.patience}" if progress.patience else fmt.MISSING


def _signed(pick: Callable[[RunView], float | None]) -> Callable[[RunView], str]:
    return lambda view: fmt.signed(pick(view))


def _p95(view: RunView) -> float | None:
    return view.latency.p95 if view.latency else None


def _is(view: RunView) -> str:
    """What is so of a run, in single words."""
    run, state = view.run, view.state
    words = (
        (run.pinned, "pinned"),
        (run.archived, "archived"),
        (run.trashed is not None, "trashed"),
        (run.held, "held"),
        (state.is_active, "active"),
        (state.is_resumable, "resumable"),
        (not state.is_active and state is not State.QUEUED, "over"),
        (view.stop_requested, "stopping"),
        (bool(view.findings), "suspect"),
    )
    return ", ".join([*view.aliases, *(word for so, word in words if so)])


def _findings(view: RunView) -> float | None:
    return float(len(view.findings)) if view.findings else None


def _findings_written(view: RunView) -> str:
    return " ".join(words for _, words in badge(view.findings))


def _target(view: RunView) -> float | None:
    return view.run.targets.get("hit5")


@lru_cache(maxsize=20_000)
def _recipe_value(recipe: str, section: str, name: str) -> Value:
    """One value of a recipe; None where it has none. Kept, as sorting asks for it again and again."""
    try:
        value = json.loads(recipe)[section][name]
    except (ValueError, KeyError, TypeError):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str | int | float) else None


def _recipe(section: str, name: str) -> Callable[[RunView], Value]:
    def value(view: RunView) -> float | None:
        found = _recipe_value(view.run.recipe, section, name)
        return None if found is None or isinstance(found, str) else float(found)

    return value


def _recipe_text(section: str, name: str) -> Callable[[RunView], Value]:
    def value(view: RunView) -> str:
        found = _recipe_value(view.run.recipe, section, name)
        return "" if found is None else str(found)

    return value


def _whole(pick: Callable[[RunView], float | None]) -> Callable[[RunView], str]:
    return lambda view: fmt.thousands(pick(view))


def _changed(view: RunView) -> str:
    return ", ".join(f"{name}={value}" for name, value in view.run.overrides.items())


def host_of(view: RunView) -> str:
    """The watched host whose run it is, else the machine that it trains on, or waits for."""
    return view.run.origin or view.run.host or view.run.host_wanted


def _host_values(view: RunView) -> str:
    return host_of(view) if view.run.origin else f"{host_of(view)}, {HERE}"


def _after(view: RunView) -> int | None:
    return None if view.run.after is None else hosts.number_of(view.run.after)


_T, _N, _S, _D, _M = Kind.TEXT, Kind.NUMBER, Kind.SHARE, Kind.SECONDS, Kind.MOMENT

_ALL = (
    RunField("name", "name", "phase and number of the run", _T, lambda v: v.run.name,
             order=lambda v: v.run.phase, aliases=("run",)),
    RunField("id", "#", "number of the run", _N, lambda v: v.run.number,
             write=lambda v: str(v.run.number), best_first=True, aliases=("number",)),
    RunField("phase", "phase", "the phase that it trains", _T, lambda v: v.run.phase),
    RunField("state", "state", "queued, running, completed, early stopped, stopped, failed, lost …", _T,
             lambda v: v.state.value, order=lambda v: _STATE_ORDER[v.state], aliases=("status",)),
    RunField("is", "is", "what is so of it: pinned, archived, trashed, held, active, over, resumable, "
             "stopping, suspect, champion", _T, _is, several=True),
    RunField("started", "started", "when it was launched", _M, lambda v: v.run.created, best_first=True,
             aliases=("created", "launched")),
    RunField("ended", "ended", "when it ended", _M, lambda v: v.run.ended, best_first=True),
    RunField("duration", "time", "time spent training, over all attempts", _D, training_seconds,
             best_first=True, aliases=("time", "cost")),
    RunField("left", "left", "time left at most, of a run that trains", _D, _left),
    RunField("epoch", "ep", "epochs finished", _N, lambda v: v.run.progress.epoch, write=_epoch_written,
             best_first=True, aliases=("ep",)),
    RunField("epochs", "epochs", "epochs at most", _N, lambda v: v.run.progress.epochs or None,
             best_first=True),
    RunField("step", "step", "optimiser steps done", _N, lambda v: v.run.progress.step,
             write=_whole(lambda v: v.run.progress.step), best_first=True, aliases=("steps",)),
    RunField("patience", "patience", "evaluations since the last gain, of those that are allowed", _N,
             lambda v: v.run.progress.patience_used, write=_patience_written, best_first=True),
    RunField("beat", "to beat", "what the watched metric must exceed to count as a gain", _S, _to_beat,
             write=_to_beat_written, best_first=True, aliases=("tobeat", "value-to-beat")),
    RunField("best", "best ep", "epoch of the best evaluation", _N, _of_best(lambda e: e.epoch),
             best_first=True, aliases=("best-epoch",)),
    RunField("hit1", "Hit@1", "best Hit@1 on validation", _S, _of_best(lambda e: e.hit1), best_first=True,
             aliases=("hit@1",)),
    RunField("hit5", "Hit@5", "best Hit@5 on validation", _S, _of_best(lambda e: e.hit5), best_first=True,
             aliases=("hit@5", "hit")),
    RunField("hit10", "Hit@10", "best Hit@10 on validation", _S, _of_best(lambda e: e.hit10),
             best_first=True, aliases=("hit@10",)),
    RunField("mrr", "MRR", "mean reciprocal rank of the best evaluation, 0 to 1", _N,
             _of_best(lambda e: e.mrr), write=lambda v: fmt.small(v.best.mrr if v.best else None),
             best_first=True),
    RunField("loss", "loss", "validation loss of the best evaluation", _N, _of_best(lambda e: e.loss)),
    RunField("cosine", "cosine", "mean cosine of prediction and target", _N, _of_best(lambda e: e.cosine),
             write=lambda v: fmt.small(v.best.cosine if v.best else None), best_first=True),
    RunField("copyness", "copy", "mean cosine of prediction and last vector", _N,
             _of_best(lambda e: e.copyness),
             write=lambda v: fmt.small(v.best.copyness if v.best else None)),
    RunField("test5", "test@5", "Hit@5 on the test split", _S,
             lambda v: v.test.hit5 if v.test else None, best_first=True, aliases=("test", "test-hit5")),
    RunField("vs", "vs base", "points of Hit@5 above the strongest baseline", _S, _gain,
             write=_signed(_gain), best_first=True, aliases=("gain", "against")),
    RunField("skill", "skill", "share of what the strongest baseline leaves that is gained", _S, _skill,
             write=_signed(_skill), best_first=True),
    RunField("p", "p", "p-value of the comparison with the strongest baseline", _N, _p,
             write=lambda v: fmt.p_value(_p(v))),
    RunField("verdict", "verdict", "what the best score is worth", _T, _verdict_words, order=_verdict_order,
             best_first=True),
    RunField("target", "target", "Hit@5 that the phase wants", _S, _target, best_first=True),
    RunField("found", "found", "errors and warnings of the audits", _N, _findings, write=_findings_written,
             best_first=True, aliases=("findings",)),
    RunField("model", "model", "name of the model", _T, lambda v: v.run.model),
    RunField("params", "params", "parameters of the model", _N, lambda v: v.run.parameters,
             write=lambda v: fmt.count(v.run.parameters), best_first=True, aliases=("parameters",)),
    RunField("ctx", "ctx", "vectors of context", _N, lambda v: v.run.context,
             write=_whole(lambda v: v.run.context), best_first=True, aliases=("context",)),
    RunField("lr", "lr", "learning rate at its highest", _N, _recipe("train", "lr"), best_first=True),
    RunField("batch", "batch", "sequences a batch", _N, _recipe("train", "batch"), best_first=True),
    RunField("seed", "seed", "seed of the random numbers", _N, lambda v: v.run.seed,
             write=lambda v: str(v.run.seed)),
    RunField("tags", "tags", "tags", _T, lambda v: v.run.tags, several=True, aliases=("tag",)),
    RunField("note", "note", "note", _T, lambda v: v.run.note),
    RunField("group", "group", "what it was launched together with", _T,
             lambda v: (v.run.group or "").removeprefix(GROUP_PREFIX)),
    RunField("device", "device", "the device that it trains on, or waits for", _T,
             lambda v: v.run.device or v.run.device_wanted),
    RunField("host", "host", "the host that it trains on, or waits for; `here`: it is in the store here", _T,
             _host_values, write=lambda v: fmt.plain(host_of(v)), order=lambda v: host_of(v), several=True),
    RunField("speed", "vec/s", "vectors trained a second", _N, lambda v: v.run.progress.vectors_per_second,
             write=lambda v: fmt.thousands(v.run.progress.vectors_per_second), best_first=True),
    RunField("p95", "p95 ms", "time for one prediction, 95th percentile", _D, _p95,
             write=lambda v: milliseconds(_p95(v)), aliases=("latency",)),
    RunField("data", "data", "the vector set", _T, lambda v: v.run.data),
    RunField("fingerprint", "data id", "fingerprint of the vector set", _T,
             lambda v: v.run.data_fingerprint or ""),
    RunField("protocol", "protocol", "id of what the scores were judged under", _T,
             lambda v: v.run.protocol_id or ""),
    RunField("changed", "changed", "what was changed at launch", _T, _changed, several=True),
    RunField("recipe", "recipe", "hash of the recipe", _T, lambda v: v.run.recipe_hash, aliases=("hash",)),
    RunField("commit", "commit", "git commit of the program", _T, lambda v: v.run.git_commit or "",
             aliases=("git",)),
    RunField("attempt", "tries", "how often a process has taken it up", _N, lambda v: v.run.attempt,
             best_first=True),
    RunField("priority", "prio", "place in the queue: higher goes first", _N, lambda v: v.run.priority,
             best_first=True),
    RunField("after", "after", "the run that it waits for the end of", _N, _after,
             write=lambda v: f"#{_after(v)}" if v.run.after is not None else ""),
    RunField("error", "error", "why it failed or is lost", _T, lambda v: v.lost_reason or _error(v)),
)  # fmt: skip


def _error(view: RunView) -> str:
    """The first line of a failed run's error."""
    if view.state is not State.FAILED:
        return ""
    lines = (view.run.error or "").splitlines()
    return lines[0] if lines else ""


FIELDS: Mapping[str, RunField] = MappingProxyType({field.key: field for field in _ALL})
"""Key -> field, in the order in which they are offered."""

NAMES: Mapping[str, str] = MappingProxyType(
    {name: field.key for field in _ALL for name in (field.key, *field.aliases)}
)
"""Every name that a field goes by -> its key."""


def field_of(name: str) -> RunField | None:
    """The field with this key or alias, in capitals or not; None where there is none. A name with a dot is
    a field of the recipe: `train.weight_decay`."""
    name = name.strip().lower()
    key = NAMES.get(name)
    return FIELDS[key] if key is not None else _recipe_field(name) if "." in name else None


def recipe_names() -> list[str]:
    """Every field of a recipe, dotted. Imports pydantic."""
    from lvmtui.recipe import field_names

    return field_names()


@lru_cache(maxsize=256)
def _recipe_field(name: str) -> RunField | None:
    from lvmtui.recipe.fields import typed_value

    if name not in recipe_names():
        return None
    section, _, key = name.partition(".")
    is_number = type(typed_value(name, "1")) in {int, float}
    value = _recipe(section, key) if is_number else _recipe_text(section, key)
    kind = Kind.NUMBER if is_number else Kind.TEXT
    return RunField(name, name, f"{name} of the recipe", kind, value, best_first=is_number)


def number_of(value: Value) -> float | None:
    """A value as a number; None for NaN and what is none."""
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return None if math.isnan(number) else number


def sorted_by(views: Iterable[RunView], key: str, reverse: bool = False) -> list[RunView]:
    """The runs in the order of a field, pinned ones before all others.

    Runs without a value come last in both directions; those with equal values newest first.

    Args:
        views: the runs.
        key: of the field; one that is not known counts as `DEFAULT_SORT`.
        reverse: against the field's usual direction.
    """
    field = field_of(key) or FIELDS[DEFAULT_SORT]
    pick = field.order or field.value
    newest = sorted(views, key=attrgetter("run.id"), reverse=True)
    newest.sort(key=attrgetter("run.created"), reverse=True)
    known: list[tuple[RunView, float | tuple[str | int, ...]]] = []
    unknown: list[RunView] = []
    for view in newest:
        place = _place(pick(view))
        if place is None:
            unknown.append(view)
        else:
            known.append((view, place))
    # One field has values of one kind, so places compare; `reverse` leaves equal ones as they are.
    known.sort(key=lambda item: item[1], reverse=field.best_first != reverse)
    everything = [*(view for view, _ in known), *unknown]
    everything.sort(key=attrgetter("run.pinned"), reverse=True)
    return everything


def _place(value: Value) -> float | tuple[str | int, ...] | None:
    """What orders a value among those of its field; None where there is none."""
    if isinstance(value, str):
        return _natural(value) if value else None
    return number_of(value)


@lru_cache(maxsize=20_000)
def _natural(text: str) -> tuple[str | int, ...]:
    """A text's place among others: in small letters, numbers in it by their size (`phase-10` after
    `phase-2`). Texts and numbers take turns, so that any two compare."""
    parts = re.split(r"(\d{1,18})", text[:200].casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


def columns_of(names: Sequence[str]) -> tuple[RunField, ...]:
    """The fields with these names, each once; unknown ones are left out."""
    found = (field_of(name) for name in names)
    return tuple(dict.fromkeys(field for field in found if field is not None))
