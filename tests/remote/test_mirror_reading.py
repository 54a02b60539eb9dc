"""What is shown of a mirror: the same as of the store there, in whatever order it has arrived."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lvmtui import details
from lvmtui.feed import Feed
from lvmtui.merge import Merge, snapshot
from lvmtui.remote.agent.packing import pack
from lvmtui.remote.hosts import Host, global_id
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.mirrors.reader import MirrorReader, open_mirror
from lvmtui.series import Array
from lvmtui.snapshot import CloseUp, RunDetail, RunView, Series, Snapshot, State
from lvmtui.stats import pack_ranks
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run
from lvmtui.store.sqlite import open_reader
from tests.remote.telling import Telling, told
from tests.tui.stores import PROTOCOL, filled, new_run

GPU1 = Host("gpu1", "gpu1")
NOW = time.time()
Wait = Callable[..., None]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs in every state, ranks, test scores and audits."""
    path = filled(tmp_path_factory.mktemp("there") / "runs.db")
    database = Database.open(path)
    ranks = pack_ranks(np.arange(1, 201) % 37 + 1)
    groups = pack_ranks(np.arange(200) // 10)
    with database.write() as connection:
        run = connection.exec_driver_sql
        run("UPDATE evaluation SET ranks = ?, n = 200", (ranks,))
        run("UPDATE protocol SET query_groups = ?", (groups,))
        run("INSERT INTO query_fact VALUES (?, 'position', ?, '{}')", (PROTOCOL, groups))
        names = "baseline, context, protocol_id, step, time, hit1, hit5, hit10, mrr, n, pool, interval_method"
        run(
            f"INSERT INTO evaluation (run_id, split, epoch, ranks, details, {names}) "
            f"SELECT run_id, 'test', epoch, ranks, details, {names} FROM evaluation WHERE id % 7 = 0"
        )
        evidence = '{"check": "norms", "advice": "", "data": "' + "9d" * 8 + '"}'
        run(
            "INSERT INTO event (kind, severity, message, time, evidence) VALUES "
            "('audit', 'warn', 'odd', 5.0, ?), ('test_look', 'info', 'looked', 6.0, ?)",
            (evidence, evidence),
        )
    database.close()
    return path


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    opened = Mirror.open(GPU1, tmp_path / "hosts")
    opened.have()
    yield opened
    opened.close()


@pytest.fixture
def reader(mirror: Mirror) -> Iterator[MirrorReader]:
    opened = open_mirror(mirror.path)
    yield opened
    opened.database.close()


def apply(mirror: Mirror, messages: Any) -> None:
    for message in messages:
        mirror.apply(message)


def here(number: int) -> int:
    return global_id(1, number)


def same_series(first: Mapping[str, Series], second: Mapping[str, Series]) -> bool:
    def same(one: Array, other: Array) -> bool:
        return len(one) == len(other) and np.allclose(one, other, rtol=0, atol=1e-3, equal_nan=True)

    return first.keys() == second.keys() and all(
        same(getattr(series, name), getattr(second[key], name))
        for key, series in first.items()
        for name in ("step", "epoch", "time", "value")
    )


def check_same(first: Snapshot, second: Snapshot) -> None:
    """Say where two snapshots differ."""
    for field in fields(Snapshot):
        if field.compare and field.name not in {"taken", "details", "devices"}:
            one, other = getattr(first, field.name), getattr(second, field.name)
            if field.name == "runs":
                one, other = (list(map(_parts, views)) for views in (one, other))
            assert one == other, field.name
    assert first.details.keys() == second.details.keys()
    for run_id, detail in first.details.items():
        other = second.details[run_id]
        for field in fields(RunDetail):
            if field.name != "series":
                assert getattr(detail, field.name) == getattr(other, field.name), field.name
        assert same_series(detail.series, other.series)


def _parts(view: RunView) -> dict[str, Any]:
    return {field.name: getattr(view, field.name) for field in fields(RunView)}


def as_there(run: Run) -> Run:
    """A mirror's run with the ids of the store there."""
    after = None if run.after is None else run.after & 0xFFFFFFFF
    return replace(run, id=run.number, origin="", after=after, revision=0, recipe="")


def test_it_shows_what_the_store_there_shows(store: Path, mirror: Mirror, reader: Reader) -> None:
    apply(mirror, told(store))
    with closing(open_reader(store)) as source:
        there = Reader(source)
        numbers = there.run_ids()
        theirs = snapshot(there, looked_at=numbers, now=NOW)
    ours = snapshot(reader, looked_at=[here(number) for number in numbers], now=NOW)
    assert len(ours.runs) == len(theirs.runs) == len(numbers)
    for our, their in zip(ours.runs, theirs.runs, strict=True):
        assert as_there(our.run) == replace(as_there(their.run), folder=our.run.folder)
        for name in ("best", "last", "test", "baseline"):
            one, other = getattr(our, name), getattr(their, name)
            assert (one and one.hit5) == (other and other.hit5), name
        assert our.aliases == their.aliases
        assert our.findings == their.findings
    assert any(view.test is not None for view in ours.runs)
    assert (ours.audits, ours.test_looks) == (theirs.audits, theirs.test_looks)
    assert [device.sample.device for device in ours.devices] == ["cpu", "gpu0"]
    for number in numbers:
        our_detail, detail = ours.details[here(number)], theirs.details[number]
        assert same_series(our_detail.series, detail.series)
        assert len(our_detail.evaluations) == len(detail.evaluations)
        assert our_detail.log == detail.log
        assert our_detail.hit_curve == detail.hit_curve
        assert our_detail.baseline_hit_curve == detail.baseline_hit_curve
        assert our_detail.slices == detail.slices
        assert [item.sha256 for item in our_detail.checkpoints] == [
            item.sha256 for item in detail.checkpoints
        ]
        assert [event.message for event in our_detail.events if event.run_id] == [
            event.message for event in detail.events if event.run_id
        ]


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.randoms(use_true_random=False), pieces=st.integers(2, 12))
def test_the_order_of_arrival_makes_no_difference(
    order: Any, pieces: int, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    messages = told(store)
    columns = [message for message in messages if message["m"] == "columns"]
    facts = [message for message in messages if message.get("table") == "query_fact"]
    others = [message for message in messages if message not in columns and message not in facts]
    order.shuffle(others)
    mirror = Mirror.open(GPU1, tmp_path_factory.mktemp("hosts"))
    mirror.have()
    with closing(open_mirror(mirror.path).database) as source:
        reader = open_mirror(mirror.path)
        apply(mirror, columns)
        merge = Merge(reader)
        everything = [*others, *facts]
        looked_at = [here(number) for number in (1, 3, 6)]
        length = -(-len(everything) // pieces)
        for begin in range(0, len(everything), length):
            apply(mirror, everything[begin : begin + length])
            merge.read(NOW)
            merge.read_details(looked_at)
            merge.read_curves(looked_at)
            gradually = merge.build(looked_at, NOW)
        check_same(gradually, snapshot(reader, looked_at=looked_at, now=NOW))
        reader.database.close()
        assert source.data_version() is not None
    mirror.close()


def test_what_is_lost_the_host_says(store: Path, mirror: Mirror, reader: Reader) -> None:
    merge = Merge(reader)

    def states() -> dict[int, tuple[State, str]]:
        merge.read(NOW + 900)
        runs = merge.build((), NOW + 900).runs
        return {view.run.number: (view.state, view.lost_reason) for view in runs}

    apply(mirror, told(store))
    running = [number for number, (state, _) in states().items() if state is State.RUNNING]
    assert len(running) == 3, "whatever processes there are here, and however old the heartbeats are"
    assert mirror.apply({"m": "lost", "runs": {str(running[0]): "process 12 is gone", "77": "x"}})
    assert states()[running[0]] == (State.LOST, "process 12 is gone")
    assert states()[running[1]][0] is State.RUNNING
    assert not mirror.apply({"m": "lost", "runs": {str(running[0]): "process 12 is gone", "77": "x"}})
    assert mirror.apply({"m": "lost", "runs": {}})
    assert states()[running[0]] == (State.RUNNING, "")
    assert not merge.has_unfinished


class Live:
    """A run in a store there, its mirror, and what is shown of it."""

    def __init__(self, path: Path, mirror: Mirror, reader: MirrorReader) -> None:
        self.path, self.mirror, self.reader = path, mirror, reader
        self.database = Database.open(path)
        self.trainee = new_run(self.database, "phase-1").start()
        self.number = self.trainee.run_id
        self.merge = Merge(reader)

    def tell(self, what: Callable[[Telling], Any]) -> None:
        with closing(Telling(self.path)) as telling:
            apply(self.mirror, what(telling))

    def shown(self, close_up: CloseUp | None = None) -> tuple[Snapshot, RunDetail]:
        looked_at = [here(self.number)]
        self.merge.read(NOW)
        self.merge.read_details(looked_at)
        self.merge.read_curves(looked_at)
        if close_up is not None and self.merge.is_close_up_old:
            self.merge.read_close_up(looked_at, close_up)
        shown = self.merge.build(looked_at, NOW)
        return shown, shown.details[here(self.number)]


@pytest.fixture
def live(tmp_path: Path, mirror: Mirror, reader: MirrorReader) -> Iterator[Live]:
    folder = tmp_path / "there"
    folder.mkdir()
    made = Live(folder / "runs.db", mirror, reader)
    made.trainee.train(3)
    made.tell(Telling.list)
    made.tell(lambda telling: telling.run(made.number))
    yield made
    made.database.close()


def test_a_rewind_forgets_what_was_dropped(live: Live) -> None:
    before, detail = live.shown()
    assert len(detail.series["train/loss"].step) == 60
    live.mirror.apply({"m": "rewind", "run": live.number})
    _, detail = live.shown()
    assert (detail.series, detail.evaluations, detail.checkpoints) == ({}, (), ())
    with live.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM metric WHERE step > 40")
        connection.exec_driver_sql("DELETE FROM evaluation WHERE epoch > 2")
    live.tell(Telling.list)
    live.tell(lambda telling: telling.run(live.number))
    after, detail = live.shown()
    assert len(detail.series["train/loss"].step) == 40
    assert [evaluation.epoch for evaluation in detail.evaluations] == [1, 2]
    assert before.runs[0].last is not None
    assert after.runs[0].last is not None
    assert (before.runs[0].last.epoch, after.runs[0].last.epoch) == (3, 2)


def test_older_values_of_another_run_show_up(live: Live) -> None:
    """They come late, with ids below those that are shown already."""
    second = new_run(live.database, "phase-1").start().train(2)
    live.trainee.train(1)
    live.shown()
    live.tell(Telling.list)
    live.tell(lambda telling: telling.curves(live.number, "live"))
    _, detail = live.shown()
    assert len(detail.series["train/loss"].step) == 80
    live.number = second.run_id
    live.shown()
    live.tell(lambda telling: telling.run(second.run_id))
    _, detail = live.shown()
    assert len(detail.series["train/loss"].step) == 40
    assert [evaluation.epoch for evaluation in detail.evaluations] == [1, 2]
    assert [event.message for event in detail.events if event.kind == "epoch"] != []


def test_a_stretch_that_is_enlarged_fills_up(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "CURVE_POINTS", 100)
    monkeypatch.setattr(details, "CURVE_COLUMNS", 10)
    _, detail = live.shown()
    # What an agent sends of a long history: few values, with ids that leave room.
    names = {"run": live.number, "thinned": True, "level": "history"}
    points = [(10_000 + step, step, step / 20, NOW, float(step % 7)) for step in range(100, 2_000, 7)]
    live.mirror.apply({"m": "curve", "keys": {"train/loss": pack(points)}, **names})
    close_up = CloseUp("step", 500.0, 520.0)
    _, detail = live.shown(close_up)
    assert live.reader.thinned(here(live.number)) == {"train/loss"}
    known = {int(step) for step in detail.series["train/loss"].step if 500 <= step <= 520}
    assert len(known) < 21
    every = [(10_000 + step, step, step / 20, NOW, float(step % 7)) for step in range(490, 530)]
    said = {"run": live.number, "thinned": False, "level": "zoom", "keys": {"train/loss": pack(every)}}
    assert live.mirror.apply({"m": "curve", **said})
    shown, detail = live.shown(close_up)
    steps = detail.series["train/loss"].step
    assert {int(step) for step in steps if 500 <= step <= 520} == set(range(500, 521))
    assert np.all(np.diff(steps) >= 0)
    assert not live.mirror.apply({"m": "curve", **said}), "it is there already"
    assert live.shown(close_up)[0] is shown


def test_the_log_is_followed(live: Live) -> None:
    _, detail = live.shown()
    assert len(detail.log) == 3
    at = live.trainee.log.stat().st_size
    live.mirror.apply({"m": "log", "run": live.number, "at": at, "size": at + 7, "text": "\x1b[1mnew\n"})
    _, detail = live.shown()
    assert detail.log[-1] == "new"


class Seen:
    """Collects what a feed shows."""

    def __init__(self) -> None:
        self.all: list[Snapshot] = []

    def __call__(self, snapshot: Snapshot) -> None:
        self.all.append(snapshot)

    @property
    def last(self) -> Snapshot:
        return self.all[-1]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def feed(mirror: Mirror, seen: Seen, wait_until: Wait) -> Iterator[Feed]:
    running = Feed(str(mirror.path), seen, mirror=True)
    running.start()
    wait_until(lambda: seen.all, "the first snapshot")
    yield running
    running.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


def test_a_feed_reads_it_when_it_is_told_to(
    store: Path, mirror: Mirror, feed: Feed, seen: Seen, wait_until: Wait
) -> None:
    assert seen.last.runs == ()
    messages = told(store)
    for message in messages:
        if mirror.apply(message):
            feed.refresh()
    feed.set_looked_at([here(1), here(6)])
    wait_until(lambda: len(seen.last.runs) == 7 and len(seen.last.details) == 2 and seen.last.is_whole)
    assert seen.last.problem == ""
    assert {view.run.origin for view in seen.last.runs} == {"gpu1"}
    with closing(open_mirror(mirror.path).database):
        reader = open_mirror(mirror.path)
        check_same(seen.last, snapshot(reader, looked_at=[here(1), here(6)], now=NOW))
        reader.database.close()


def test_another_store_in_its_place_is_noticed(
    store: Path, mirror: Mirror, feed: Feed, seen: Seen, wait_until: Wait
) -> None:
    messages = [message for message in told(store) if message["m"] in {"columns", "rows", "all"}]
    apply(mirror, messages)
    feed.refresh()
    wait_until(lambda: len(seen.last.runs) == 7)
    mirror.apply({"m": "reset"})
    few = [dict(message) for message in messages]
    for message in few:
        if message["m"] == "rows" and message["table"] == "run":
            message["rows"] = message["rows"][:2]
    apply(mirror, few)
    feed.refresh()
    wait_until(lambda: len(seen.last.runs) == 2)


def test_a_damaged_one_is_a_problem_and_no_more(
    store: Path, mirror: Mirror, feed: Feed, seen: Seen, wait_until: Wait
) -> None:
    apply(mirror, told(store))
    feed.refresh()
    wait_until(lambda: len(seen.last.runs) == 7)
    mirror.close()
    damaged = mirror.path.with_name("damaged")
    damaged.write_bytes(b"SQLite format 3\0" + bytes(5000))
    damaged.replace(mirror.path)
    feed.refresh()
    wait_until(lambda: seen.last.problem)
    assert len(seen.last.runs) == 7
