"""Every change of a run by name, with arguments as plain JSON: what another machine can ask for.

Runs are named by their number in the store. Whatever comes in is checked before anything is done; recipes
are read as data. Loads nothing heavy; what an operation needs it imports itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from lvmtui.arguments import LONGEST_NAME, NAME, Given
from lvmtui.errors import IllegalTransition, UsageError, did_you_mean
from lvmtui.store import slots
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.launcher import Start
    from lvmtui.recipe import Written
    from lvmtui.store.shelves import Kept

Target = str | os.PathLike[str]
Arguments = Mapping[str, Any]

LONGEST_NOTE, LONGEST_TAGS = 20_000, 2000
"""Characters."""

CREATED_TOLERANCE = 1e-3
"""Seconds."""

LONGEST_RECIPE = 100_000
"""Characters of a recipe's TOML text."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation has done."""

    words: str
    """In a sentence without its full stop: `phase-3 #17 was asked to stop`."""
    run: int | None = None
    """Number of the run that it made or changed."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What more there is to say, as plain JSON."""


def perform(store_target: Target, what: str, arguments: Arguments) -> Outcome:
    """Do what is asked for.

    Args:
        store_target: path or URL of the store.
        what: name of the operation.
        arguments: its arguments. Beside `run` there may be `created`, when that run was made: nothing is done
            to another one that has its number.

    Raises:
        UsageError: there is no such operation, or its arguments are wrong.
        LvmtuiError: it cannot be done.
        OSError: the disk is full, ….
    """
    if what not in OPERATIONS:
        raise UsageError(f"there is no operation {what!r}", did_you_mean(what, OPERATIONS))
    do, names = OPERATIONS[what]
    given = Given(what, arguments, (*names, "created") if "run" in names else names)
    if "created" in given:
        _check_created(store_target, given.run(), given.moment("created"))
    return do(store_target, given)


def _check_created(store: Target, run_id: int, created: float) -> None:
    """A request may have waited for days, and the store may have been made anew."""
    from lvmtui.launcher import open_store
    from lvmtui.store.reader import Reader

    with open_store(store, read_only=True) as database:
        run = Reader(database).run(run_id)
    if abs(run.created - created) > CREATED_TOLERANCE:
        raise IllegalTransition(f"{run.name} is not the run that was meant: it was made at another time")


def check_launch(arguments: Arguments) -> None:
    """Whether a launch could be made on this machine, without making it.

    Raises:
        LvmtuiError: as for `launch`.
    """
    from lvmtui import launcher

    given = Given("launch", arguments, _LAUNCH)
    seeds, jobs = _seeds_and_jobs(given)
    launcher.check_group(_phases(given), _overrides(given), seeds=seeds, jobs=jobs, start=_start(given))


def _launch(store: Target, given: Given) -> Outcome:
    """`phases` (names known here, or ranges of them), or `recipe` (TOML text) and its `name`; for the others
    see `lvmtui.launcher.Start`."""
    from lvmtui import launcher

    phases, overrides, start = _phases(given), _overrides(given), _start(given)
    seeds, jobs = _seeds_and_jobs(given)
    note = given.text("note", LONGEST_NOTE)
    if len(phases) == 1 and ".." not in str(phases[0]) and seeds == 1:
        made = [launcher.launch(store, phases[0], overrides, note=note, start=start)]
    else:
        made = launcher.launch_group(store, phases, overrides, seeds=seeds, jobs=jobs, note=note, start=start)
    return Outcome(_launched(made), made[0].id, {"runs": [run.id for run in made]})


def _launched(made: Sequence[Run]) -> str:
    """What became of runs that were launched, in words."""
    started = [run.name for run in made if not slots.waits(run)]
    waiting = [run.name for run in made if slots.waits(run)]
    words = [f"{', '.join(started)} launched"] if started else []
    if len(waiting) > 1:
        words.append(f"{waiting[0]} to #{made[-1].id} are in the queue")
    elif waiting:
        words.append(f"{waiting[0]} is in the queue")
    return "; ".join(words)


def _phases(given: Given) -> list[str | Written]:
    from lvmtui import recipe as recipes

    names = given.texts("phases", 2 * LONGEST_NAME + 2)
    if bool(names) == ("recipe" in given):
        raise UsageError("launch takes phases or a recipe", "Give the one or the other.")
    if not names:
        return [recipes.Written(given.text("recipe", LONGEST_RECIPE), given.name("name", "recipe"))]
    for name in names:
        # What ends so would be read as a file of this machine.
        if not NAME.fullmatch(name) or name.endswith(".toml"):
            raise given.wrong("phases", "names of phases; of a file, its text is sent as recipe")
    return [*names]


def _overrides(given: Given) -> dict[str, str]:
    return given.mapping("overrides", LONGEST_NOTE)


def _seeds_and_jobs(given: Given) -> tuple[int, int]:
    from lvmtui.launcher.launching import MOST_RUNS

    return given.whole("seeds", 1, MOST_RUNS, 1), given.whole("jobs", 1, MOST_RUNS, 1)


def _start(given: Given) -> Start:
    from lvmtui.launcher import Start

    return Start(
        queue=given.flag("queue", False),
        priority=_priority(given, 0),
        held=given.flag("held", False),
        after=given.run_or_none("after"),
        device=given.text("device", LONGEST_NAME),
        host=given.text("host", 255) if "host" in given else None,
    )


def _priority(given: Given, default: int | None = None) -> int:
    return given.whole("priority", -slots.MOST_PRIORITY, slots.MOST_PRIORITY, default)


def _stop(store: Target, given: Given) -> Outcome:
    from lvmtui import launcher

    run = launcher.stop(store, given.run())
    words = "was asked to stop" if run.pid is not None else "is out of the queue"
    return Outcome(f"{run.name} {words}", run.id)


def _stop_group(store: Target, given: Given) -> Outcome:
    from lvmtui import launcher

    asked = launcher.stop_group(store, given.run())
    words = f"{', '.join(run.name for run in asked[:5])}{' and others' if len(asked) > 5 else ''}"
    return Outcome(f"{words} stopped or asked to", given.run(), {"runs": [run.id for run in asked]})


def _resume(store: Target, given: Given) -> Outcome:
    """`wait`: into the queue."""
    from lvmtui import launcher

    run = launcher.resume(store, given.run(), wait=given.flag("wait", False))
    how = "goes on from its last checkpoint" if run.attempt else "starts at once"
    return Outcome(f"{run.name} {'is in the queue' if slots.waits(run) else how}", run.id)


def _kill(store: Target, given: Given) -> Outcome:
    from lvmtui import launcher

    run = launcher.kill(store, given.run())
    return Outcome(f"{run.name} was killed", run.id)


def _gates(store: Target, given: Given) -> Outcome:
    """What speaks for and against promoting a run."""
    from lvmtui import promotion

    found = promotion.promotion_gates(store, given.run(), test=given.flag("test", True))
    data = {"gates": [asdict(gate) for gate in found]}
    return Outcome(f"{sum(gate.passed is False for gate in found)} gates failed", given.run(), data)


def _promote(store: Target, given: Given) -> Outcome:
    """Promotes, and begins to judge on the test split, where `test` is not false; the result is found in the
    store when it is there."""
    from lvmtui import promotion

    test = given.flag("test", True)
    made = promotion.promote(
        store,
        given.run(),
        alias=given.name("alias", "champion"),
        note=given.text("note", LONGEST_NOTE),
        test=test,
    )
    words = f"{_name_of(store, made.run_id)} is the {made.alias} now"
    if test:
        promotion.report_failure(store, made, promotion.start_test(store, made))
        words += "; it is being judged on the test split"
    return Outcome(words, made.run_id, {"promotion": made.id, "checkpoint": made.checkpoint_id})


def _name_of(store: Target, run_id: int) -> str:
    from lvmtui.launcher import open_store
    from lvmtui.store.reader import Reader

    with open_store(store, read_only=True) as database:
        return Reader(database).run(run_id).name


def _annotate(store: Target, given: Given) -> Outcome:
    from lvmtui import shelving

    note = given.text("note", LONGEST_NOTE) if "note" in given else None
    tags = given.text("tags", LONGEST_TAGS) if "tags" in given else None
    run = shelving.annotate(store, given.run(), note=note, tags=tags)
    return _kept(run, f"the note on {run.name} is saved")


def _pin(store: Target, given: Given) -> Outcome:
    from lvmtui import shelving

    on = given.flag("on", True)
    run = shelving.pin(store, given.run(), on)
    return _kept(run, f"{run.name} stays on top" if on else f"{run.name} is no longer pinned")


def _archive(store: Target, given: Given) -> Outcome:
    from lvmtui import shelving

    on = given.flag("on", True)
    run = shelving.archive(store, given.run(), on)
    return _kept(run, f"{run.name} is archived" if on else f"{run.name} is listed again")


def _trash(store: Target, given: Given) -> Outcome:
    from lvmtui import shelving

    run = shelving.trash(store, given.run())
    return _kept(run, f"{run.name} is in the trash")


def _restore(store: Target, given: Given) -> Outcome:
    from lvmtui import shelving

    run = shelving.restore(store, given.run())
    return _kept(run, f"{run.name} is out of the trash")


def _put_back(store: Target, given: Given) -> Outcome:
    """`before`: how a run was kept (as an answer's `before`); `names`: which of that is put back."""
    from lvmtui import shelving
    from lvmtui.store.shelves import Kept

    known = [item.name for item in fields(Kept)]
    names = given.texts("names", LONGEST_NAME)
    if not names or not set(names) <= set(known):
        raise given.wrong("names", f"a list of {', '.join(known)}")
    run = shelving.put_back(store, given.run(), _kept_before(given), names)
    return _kept(run, f"{run.name} is as it was before")


def _kept_before(given: Given) -> Kept:
    from lvmtui.store.shelves import Kept

    before = Given("put-back", given.object("before"), [item.name for item in fields(Kept)])
    return Kept(
        pinned=before.flag("pinned", False),
        archived=before.flag("archived", False),
        trashed=before.moment("trashed") if "trashed" in before else None,
        note=before.text("note", LONGEST_NOTE),
        tags=before.text("tags", LONGEST_TAGS),
    )


def _kept(before: Run, words: str) -> Outcome:
    """`before`: how the run was kept, for taking it back."""
    from lvmtui.store.shelves import kept_of

    return Outcome(words, before.id, {"before": asdict(kept_of(before))})


def _delete(store: Target, given: Given) -> Outcome:
    """`run`, or all of `runs`; they must be in the trash. If one cannot be deleted, none is."""
    from lvmtui import shelving
    from lvmtui.format import size

    deleted = shelving.delete_for_good(store, [given.run()] if "run" in given else given.runs("runs"))
    freed = sum(item.size for item in deleted)
    names = ", ".join(item.run.name for item in deleted[:5])
    words = f"{names} {'is' if len(deleted) == 1 else 'are'} deleted"
    left = [item.leftover for item in deleted if item.leftover]
    words += f", but some files are left in {left[0]}" if left else f": {size(freed)} freed"
    return Outcome(words, deleted[0].run.id, {"freed": freed, "left": left})


def _hold(store: Target, given: Given) -> Outcome:
    from lvmtui.launcher import queueing

    return _queued(store, queueing.hold(store, given.run()))


def _release(store: Target, given: Given) -> Outcome:
    from lvmtui.launcher import queueing

    return _queued(store, queueing.release(store, given.run()))


def _move(store: Target, given: Given) -> Outcome:
    """`where`: first, last, earlier, later, or before another run, `other`."""
    from lvmtui.launcher import open_store, queueing
    from lvmtui.store.reader import Reader

    ways = {way.__name__: way for way in (queueing.first, queueing.last, queueing.earlier, queueing.later)}
    where = given.choice("where", [*ways, "before"])
    if where != "before":
        return _queued(store, queueing.move(store, given.run(), ways[where]))
    with open_store(store, read_only=True) as database:
        other = Reader(database).run(given.run("other"))
    return _queued(store, queueing.move(store, given.run(), queueing.before(other)))


def _set_priority(store: Target, given: Given) -> Outcome:
    from lvmtui.launcher import queueing

    return _queued(store, queueing.set_priority(store, given.run(), _priority(given)))


def _set_after(store: Target, given: Given) -> Outcome:
    """`other`: the run that it waits for; nothing: none."""
    from lvmtui.launcher import queueing

    return _queued(store, queueing.set_after(store, given.run(), given.run_or_none("other")))


def _queued(store: Target, run: Run) -> Outcome:
    """Where a run stands in the queue now."""
    import time

    from lvmtui import waiting
    from lvmtui.launcher import open_store
    from lvmtui.store import queue

    if not slots.waits(run):
        return Outcome(f"{run.name} starts", run.id)
    with open_store(store, read_only=True) as database:
        turns = waiting.queue_turns(queue.unfinished(database), time.time())
    for place, turn in enumerate(turns, start=1):
        if turn.run.id == run.id:
            words = f"{run.name} is {place} of {len(turns)} in the queue: {waiting.words(turn)}"
            return Outcome(words, run.id)
    return Outcome(f"{run.name} starts", run.id)


def _fill(store: Target, given: Given) -> Outcome:  # noqa: ARG001
    from lvmtui import launcher

    started = launcher.fill_slots(store)
    words = f"{', '.join(run.name for run in started)} started" if started else "nothing waits that may start"
    return Outcome(words, None, {"runs": [run.id for run in started]})


_LAUNCH = (
    "phases", "recipe", "name", "overrides", "note", "seeds", "jobs",
    "queue", "priority", "held", "after", "device", "host",
)  # fmt: skip

OPERATIONS: Mapping[str, tuple[Callable[[Target, Given], Outcome], tuple[str, ...]]] = {
    "launch": (_launch, _LAUNCH),
    "stop": (_stop, ("run",)),
    "stop-group": (_stop_group, ("run",)),
    "resume": (_resume, ("run", "wait")),
    "kill": (_kill, ("run",)),
    "gates": (_gates, ("run", "test")),
    "promote": (_promote, ("run", "alias", "note", "test")),
    "annotate": (_annotate, ("run", "note", "tags")),
    "pin": (_pin, ("run", "on")),
    "archive": (_archive, ("run", "on")),
    "trash": (_trash, ("run",)),
    "restore": (_restore, ("run",)),
    "put-back": (_put_back, ("run", "before", "names")),
    "delete": (_delete, ("run", "runs")),
    "hold": (_hold, ("run",)),
    "release": (_release, ("run",)),
    "move": (_move, ("run", "where", "other")),
    "priority": (_set_priority, ("run", "priority")),
    "after": (_set_after, ("run", "other")),
    "fill": (_fill, ()),
}
"""Name -> what does it, and the names of the arguments that it takes."""

ASKS = frozenset({"gates"})
"""Operations that change nothing."""
