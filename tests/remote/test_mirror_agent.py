"""A store that engines and users write to, an agent that reads it, and the mirror of what it says: what is
shown of both comes to agree, also over lost connections."""

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lvmtui.merge import Merge
from lvmtui.remote.agent.wire import Message
from lvmtui.remote.hosts import Host, global_id
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.mirrors.reader import open_mirror
from lvmtui.store import shelves
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.sqlite import open_reader
from tests.remote.agent_client import AgentClient, Told
from tests.tui.stores import Trainee, fill, new_run


class Mirroring(Told):
    """Writes what an agent says into a mirror."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__()
        self._mirror = mirror

    def take(self, message: Message) -> None:
        """Do what a message says."""
        self._mirror.apply(message)


class Shown:
    """What is shown of a store, read on and on."""

    def __init__(self, reader: Reader, slot: int) -> None:
        self._reader, self._slot = reader, slot
        self._merge = Merge(reader)

    def look(self, numbers: list[int]) -> dict[str, Any]:
        """Everything that has to agree, by numbers of runs."""
        now = time.time()
        ids = [global_id(self._slot, number) for number in numbers]
        self._merge.read(now)
        self._merge.read_details(ids)
        self._merge.read_curves(ids)
        shown = self._merge.build(ids, now)
        found: dict[str, Any] = {"order": [view.run.number for view in shown.runs]}
        for view in shown.runs:
            run, best, last = view.run, view.best, view.last
            found[f"run {run.number}"] = (
                (run.phase, run.status, run.result, run.progress, run.note, run.pinned, run.archived),
                best and (best.epoch, best.hit5),
                last and (last.epoch, last.hit5),
                (view.stop_requested, view.aliases),
            )
        for run_id, detail in shown.details.items():
            number = run_id & 0xFFFFFFFF
            for key, series in detail.series.items():
                found[f"{key} of {number}"] = (series.step.tolist(), series.value.tolist())
            found[f"details of {number}"] = (
                [(item.epoch, item.hit5) for item in detail.evaluations],
                [(item.sha256, item.is_best, item.is_last) for item in detail.checkpoints],
                detail.log,
                [event.message for event in detail.events if event.run_id],
            )
        return found


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "there").mkdir()
    opened = Database.open(tmp_path / "there" / "runs.db")
    yield opened
    opened.close()


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    opened = Mirror.open(Host("gpu1", "gpu1"), tmp_path / "hosts")
    yield opened
    opened.close()


def resume(database: Database, trainee: Trainee) -> None:
    """Take a run up again from an earlier epoch: what came after it is dropped and written anew."""
    Controller(database).requeue(trainee.run_id)
    trainee.epoch = max(0, trainee.epoch - 2)
    trainee.best = trainee.best_epoch = None
    trainee.start()
    trainee.writer.rewind(trainee.epoch * 20)
    trainee.train(1)


def do_something(chance: random.Random, database: Database, trainees: dict[int, Trainee]) -> None:
    """One thing that engines and users do."""
    number = chance.choice(list(trainees))
    trainee, run = trainees[number], Reader(database).run(number)
    what = chance.choice(["train", "train", "end", "new", "stop", "note", "pin", "resume", "delete"])
    trains, is_over = run.status is Status.RUNNING, run.status is Status.DONE
    if what == "train" and trains:
        trainee.train(chance.randrange(1, 4))
    elif what == "end" and (trains or run.status is Status.STOPPING):
        trainee.finish(chance.choice([Result.STOPPED, Result.FAILED]))
    elif what == "new":
        added = new_run(database, "phase-9").start()
        trainees[added.run_id] = added
    elif what == "stop" and trains:
        Controller(database).request_stop(number)
    elif what == "note":
        Controller(database).annotate(number, note=f"a note {chance.random()}")
    elif what == "pin":
        shelves.pin(database, number, not run.pinned)
    elif what == "resume" and is_over and run.result in {Result.STOPPED, Result.FAILED}:
        resume(database, trainee)
    elif what == "delete" and is_over and not run.pinned and number > 1 and len(trainees) > 3:
        shelves.trash(database, number)
        shelves.delete_for_good(database, [number])
        del trainees[number]


@pytest.mark.parametrize("seed", range(3))
def test_both_come_to_agree(seed: int, there: Database, mirror: Mirror) -> None:
    chance = random.Random(seed)
    trainees = {trainee.run_id: trainee for trainee in fill(there).values()}
    store = there.location.path
    assert store is not None
    theirs = Shown(Reader(open_reader(store)), 0)
    ours = Shown(open_mirror(mirror.path), mirror.slot)
    for _ in range(3):
        with AgentClient(store, have=mirror.have(), told=Mirroring(mirror)) as agent:
            for _ in range(3):
                wanted = chance.sample(sorted(trainees), 3)
                agent.want(*(mirror.wanted(number, "all") for number in wanted))
                for _ in range(chance.randrange(1, 8)):
                    do_something(chance, there, trainees)
                    agent.read(0.02)
                    ours.look(wanted)
                wanted = [number for number in wanted if number in trainees]
                with suppress(AssertionError):
                    agent.wait(lambda seen=wanted: ours.look(seen) == theirs.look(seen), seconds=15.0)
                our, their = ours.look(wanted), theirs.look(wanted)
                for key in our.keys() | their.keys():
                    assert our.get(key) == their.get(key), key
        do_something(chance, there, trainees)
    assert mirror.refused == ""
