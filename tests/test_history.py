"""Reading what a run has logged: in full, or thinned by the store where it is much."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lvmtui.details import Detail
from lvmtui.feed import Feed
from lvmtui.merge import Merge
from lvmtui.snapshot import CloseUp, Snapshot
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun
from lvmtui.store.sqlite import open_reader

STEPS = 4_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two runs that logged in turns: a falling loss with a spike, gaps and a last value of its own."""
    path = tmp_path / "runs.db"
    database = Database.open(path)
    for seed in range(2):
        new = NewRun("phase-1", "{}", "abc", seed, "gru", 10, "hit5", "demo", 10, 3)
        Controller(database).create_run(new)
    database.close()
    values = 1 / np.arange(1, STEPS + 1)
    values[1234] = 99.0
    values[2345] = -99.0
    values[3000:3003] = np.nan
    values[-1] = 7.0
    rows = [
        (run, key, step, step / 100, 1e9 + step, None if np.isnan(value) else float(value) * run)
        for step, value in enumerate(values)
        for run in (1, 2)
        for key in ("train/loss", "train/lr")
    ]
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(
            "INSERT INTO metric (run_id, key, step, epoch, time, value) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
    connection.close()
    return path


@pytest.fixture
def reader(store: Path) -> Iterator[Reader]:
    source = open_reader(store)
    yield Reader(source)
    source.close()


def read(reader: Reader, run_id: int) -> Detail:
    detail = Detail(Path(), reader.run(run_id))
    detail.read_history_upto(reader, reader.last_metric())
    while detail.history_wanted is not None:
        detail.read_history()
    return detail


def test_a_short_history_is_read_in_full(reader: Reader) -> None:
    series = read(reader, 2).build().series
    assert set(series) == {"train/loss", "train/lr"}
    loss = series["train/loss"]
    assert loss.step.tolist() == list(range(STEPS))
    assert loss.value[1234] == 198.0
    assert np.flatnonzero(np.isnan(loss.value)).tolist() == [3000, 3001, 3002]


def test_a_long_history_keeps_ends_spikes_and_gaps_where_they_are(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.history.LONG_ROWS", STEPS)
    monkeypatch.setattr("lvmtui.history.STRETCHES", 50)
    loss = read(reader, 1).build().series["train/loss"]
    assert len(loss.step) < 160
    assert (np.diff(loss.step) > 0).all()
    assert (loss.step[0], loss.step[-1], loss.value[-1]) == (0, STEPS - 1, 7.0)
    assert loss.value[loss.step == 1234].tolist() == [99.0]
    assert loss.value[loss.step == 2345].tolist() == [-99.0]
    assert np.isnan(loss.value[loss.step == 3000]).all()
    assert np.allclose(loss.epoch, loss.step / 100)
    assert np.allclose(loss.time, 1e9 + loss.step)


def test_what_comes_after_a_long_history_is_added_in_full(
    store: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.history.LONG_ROWS", STEPS)
    merge = Merge(reader)
    merge.read(0.0)
    merge.read_details([1])
    assert merge.read_curves([1])
    before = len(merge.build([1], 0.0).details[1].series["train/loss"].step)
    connection = sqlite3.connect(store)
    with connection:
        connection.executemany(
            "INSERT INTO metric (run_id, key, step, epoch, time, value) VALUES (1, 'train/loss', ?, 0, 0, 1)",
            [(STEPS + step,) for step in range(10)],
        )
    connection.close()
    merge.read_curves([1])
    after = merge.build([1], 0.0).details[1].series["train/loss"]
    assert after.step[before:].tolist() == list(range(STEPS, STEPS + 10))


def test_a_long_history_scattered_among_others_is_read_in_full(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.history.LONG_ROWS", STEPS)
    monkeypatch.setattr("lvmtui.history.SPARSE", 1)
    assert len(read(reader, 1).build().series["train/loss"].step) == STEPS


def test_reading_stops_when_its_time_is_up_and_goes_on(reader: Reader) -> None:
    merge = Merge(reader)
    merge.read(0.0)
    merge.read_details([1, 2])
    readings = 0
    while not merge.read_curves([1, 2], seconds=0.0):
        readings += 1
    assert readings >= 3
    details = merge.build([1, 2], 0.0).details
    assert [len(details[run].series["train/lr"].step) for run in (1, 2)] == [STEPS, STEPS]


def test_both_ways_to_open_a_store_read_alike(store: Path, reader: Reader) -> None:
    database = Database.open(store, create=False, read_only=True)
    other = Reader(database)
    assert other.runs() == reader.runs()
    assert other.metrics(1) == reader.metrics(1)
    assert other.metric_keys(2) == reader.metric_keys(2) == ["train/loss", "train/lr"]
    assert other.events() == reader.events()
    assert other.list_scores() == reader.list_scores() == []
    extremes = [one.metric_extremes(1, after=0, upto=4000) for one in (other, reader)]
    assert extremes[0] == extremes[1]
    database.close()


def test_an_enlarged_stretch_of_a_thinned_curve_is_read_in_full(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.history.LONG_ROWS", STEPS)
    monkeypatch.setattr("lvmtui.history.STRETCHES", 50)
    detail = read(reader, 1)
    thinned = detail.build().series["train/loss"]
    for close_up in (CloseUp("step", 1000, 1100), CloseUp("epoch", 10, 11), CloseUp("time", 1000, 1100)):
        detail.read_close_up(reader, close_up)
        closer = detail.build().series["train/loss"]
        inside = (closer.step >= 1000) & (closer.step <= 1100)
        assert closer.step[inside].tolist() == list(range(1000, 1101))
        assert (np.diff(closer.step) > 0).all()
        assert len(closer.step) < len(thinned.step) + 300
        detail.read_close_up(reader, None)
        assert detail.build().series["train/loss"].step.tolist() == thinned.step.tolist()


def test_a_stretch_with_very_many_points_stays_thinned(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.history.LONG_ROWS", STEPS)
    monkeypatch.setattr("lvmtui.details.CLOSE_UP_POINTS", 1000)
    detail = read(reader, 1)
    before = detail.build().series["train/loss"].step.tolist()
    detail.read_close_up(reader, CloseUp("step", 0, 2000))
    assert detail.build().series["train/loss"].step.tolist() == before


def test_the_feed_reads_closer_where_it_is_asked_to(
    store: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    monkeypatch.setattr("lvmtui.history.LONG_ROWS", STEPS)
    monkeypatch.setattr("lvmtui.history.STRETCHES", 50)
    seen: list[Snapshot] = []
    feed = Feed(str(store), seen.append)
    feed.set_looked_at([1])

    def points() -> int:
        detail = seen[-1].details.get(1) if seen else None
        series = detail.series.get("train/lr") if detail else None
        return 0 if series is None or series.step[-1] < STEPS - 1 else len(series.step)

    feed.start()
    wait_until(points, "the thinned curve")
    before = points()
    feed.set_close_up(CloseUp("step", 1000, 1100))
    wait_until(lambda: points() > before + 80, "every point of the stretch")
    feed.set_close_up(None)
    wait_until(lambda: points() == before, "the thinned curve again")
    feed.stop()
