"""Several snapshots as one: what is united how, and that what has not changed is handed on as it is."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from lvmtui.findings import Finding
from lvmtui.leaderboard.ranking import leaderboard_of
from lvmtui.remote.combining import EVENTS_KEPT, Combining, Part
from lvmtui.remote.hosts import global_id
from lvmtui.snapshot import Contact, DeviceView, HostView, PendingRequest, RunView, Snapshot
from lvmtui.store.records import DeviceSample, Event, Promotion, Severity
from tests.tui import snapshots

NOW = snapshots.NOW
LIVE = HostView("gpu1", Contact.LIVE, is_whole=True)


def view(slot: int, number: int, created: float, best: float | None = 0.15) -> RunView:
    found = snapshots.view(snapshots.run(17, "phase-3", best))
    origin = f"gpu{slot}" if slot else ""
    run = replace(found.run, id=global_id(slot, number), created=created, origin=origin)
    return replace(found, run=run)


def shown(slot: int, *created: float, **more: object) -> Snapshot:
    """A store whose runs were created then, newest first."""
    runs = tuple(view(slot, len(created) - place, when) for place, when in enumerate(created))
    return Snapshot(store=f"/{slot}", taken=NOW, runs=runs, **more)  # type: ignore[arg-type]


def names(snapshot: Snapshot) -> list[str]:
    return [view.run.label for view in snapshot.runs]


def test_runs_stand_by_when_they_were_created() -> None:
    made = Combining()
    local, there = shown(0, 40.0, 20.0), shown(1, 50.0, 30.0, 10.0)
    both = made.combine(local, [Part(LIVE, there)], NOW)
    assert names(both) == ["#3@gpu1", "#2", "#2@gpu1", "#1", "#1@gpu1"]
    assert all(any(view is item for item in (*local.runs, *there.runs)) for view in both.runs)
    assert (both.store, both.hosts) == ("/0", (LIVE,))


def test_nothing_changes_where_nothing_changed() -> None:
    made = Combining()
    local, part = shown(0, 40.0), Part(LIVE, shown(1, 50.0))
    assert made.combine(local, [part], NOW) is made.combine(local, [part], NOW + 1)


def test_one_changed_run_takes_its_place() -> None:
    made = Combining()
    local, there = shown(0, 40.0, 20.0), shown(1, 50.0, 30.0)
    before = made.combine(local, [Part(LIVE, there)], NOW)
    fresh = replace(there.runs[1], lost_reason="gone")
    changed = replace(there, runs=(there.runs[0], fresh))
    after = made.combine(local, [Part(LIVE, changed)], NOW)
    assert names(after) == names(before)
    differing = [
        place for place, (a, b) in enumerate(zip(before.runs, after.runs, strict=True)) if a is not b
    ]
    assert [after.runs[place] for place in differing] == [fresh]
    assert after.details is before.details
    assert after.events is before.events


def test_runs_come_and_go() -> None:
    made = Combining()
    local = shown(0, 40.0)
    assert names(made.combine(local, [Part(LIVE, None)], NOW)) == ["#1"]
    assert names(made.combine(local, [Part(LIVE, shown(1, 50.0))], NOW)) == ["#1@gpu1", "#1"]
    assert names(made.combine(local, [Part(LIVE, shown(1, 30.0))], NOW)) == ["#1", "#1@gpu1"]
    assert names(made.combine(local, [Part(LIVE, shown(1))], NOW)) == ["#1"]
    assert made.combine(local, [Part(LIVE, shown(1))], NOW).runs is local.runs


def test_what_a_connection_adds_to_runs() -> None:
    made = Combining()
    local, there = shown(0, 40.0), shown(1, 50.0, 30.0)
    asked = PendingRequest("r", "stop phase-3 #2@gpu1", there.runs[0].run.id, 1.0)
    waiting = replace(LIVE, pending=(asked,))
    first = made.combine(local, [Part(waiting, there)], NOW)
    assert [view.pending for view in first.runs] == [("stop",), (), ()]
    assert first.runs[2] is there.runs[1]
    away = replace(waiting, contact=Contact.OFFLINE, news=7.0, is_whole=False)
    second = made.combine(local, [Part(away, there)], NOW)
    assert [(view.silent, view.pending) for view in second.runs] == [(7.0, ("stop",)), (None, ()), (7.0, ())]
    later = replace(away, next_try=99.0, pending=())
    third = made.combine(local, [Part(later, there)], NOW)
    assert third.runs[2] is second.runs[2], "only what changed is made anew"
    assert third.runs[0].pending == ()
    back = made.combine(local, [Part(LIVE, there)], NOW)
    assert [view.silent for view in back.runs] == [None] * 3
    assert back.runs[0] is there.runs[0]


def test_a_host_that_was_never_heard_of_in_this_session_says_when_it_was_mirrored() -> None:
    connecting = HostView("gpu1", Contact.CONNECTING)
    found = Combining().combine(shown(0), [Part(connecting, shown(1, 5.0), mirrored=3.0)], NOW)
    assert found.runs[0].silent == 3.0


@pytest.mark.parametrize(
    ("view", "there", "complete", "whole"),
    [
        (LIVE, True, True, True),
        (LIVE, True, False, False),
        (LIVE, False, True, False),
        (replace(LIVE, is_whole=False), True, True, False),
        (replace(LIVE, is_whole=False, reason="there is no run store"), True, True, True),
        (HostView("gpu1", Contact.CONNECTING), True, True, False),
        (HostView("gpu1", Contact.OFFLINE), True, True, True),
        (HostView("gpu1", Contact.OFFLINE), False, True, True),
    ],
)
def test_when_all_is_there(view: HostView, there: bool, complete: bool, whole: bool) -> None:
    part = Part(view, shown(1) if there else None, is_complete=complete)
    assert Combining().combine(shown(0), [part], NOW).is_whole is whole


def test_baselines_of_one_protocol_once_and_local_ones_first() -> None:
    own = snapshots.baselines()[:2]
    more = tuple(replace(item, id=global_id(1, item.id)) for item in snapshots.baselines()[1:4])
    local = shown(0, 40.0, baselines={snapshots.MAIN: own}, protocols={snapshots.MAIN: snapshots.protocol()})
    there = shown(1, 50.0, baselines={snapshots.MAIN: more, snapshots.OTHER: more[:1]})
    found = Combining().combine(local, [Part(LIVE, there)], NOW)
    assert [item.baseline for item in found.baselines[snapshots.MAIN]] == [
        item.baseline for item in snapshots.baselines()[:4]
    ]
    assert found.baselines[snapshots.MAIN][1] is own[1]
    assert found.baselines[snapshots.OTHER] == more[:1]
    groups = leaderboard_of(found)
    assert len(groups) == 1, "the same protocol is one group"
    assert {row.name for row in groups[0].rows} >= {"phase-3 #1", "phase-3 #1@gpu1"}


def test_looks_are_added_audits_taken_from_who_found_the_worst() -> None:
    fine, bad = Finding("norms", "fine"), Finding("norms", "odd", Severity.ERROR)
    local = shown(0, test_looks=MappingProxyType({"a": 2}), audits={"a": (fine,), "b": (bad,)})
    there = shown(1, test_looks=MappingProxyType({"a": 1, "b": 1}), audits={"a": (bad,), "b": (fine,)})
    found = Combining().combine(local, [Part(LIVE, there)], NOW)
    assert dict(found.test_looks) == {"a": 3, "b": 1}
    assert dict(found.audits) == {"a": (bad,), "b": (bad,)}


def test_events_by_time_and_not_too_many() -> None:
    made = Combining()
    mine = tuple(Event("x", "", float(2 * k), id=k) for k in range(1, 1501))
    theirs = tuple(Event("y", "", float(2 * k + 1), id=global_id(1, k)) for k in range(1, 1501))
    first = made.combine(shown(0, events=mine), [Part(LIVE, shown(1, events=theirs))], NOW)
    assert len(first.events) == EVENTS_KEPT
    assert [event.time for event in first.events] == sorted(event.time for event in first.events)
    late = Event("late", "", 2000.0, id=global_id(1, 1501))
    second = made.combine(shown(0, events=mine), [Part(LIVE, shown(1, events=(*theirs, late)))], NOW)
    assert late in second.events
    assert [event.time for event in second.events] == sorted(event.time for event in second.events)
    fresh = Combining().combine(shown(0, events=mine), [Part(LIVE, shown(1, events=(*theirs, late)))], NOW)
    assert {event.id for event in second.events} == {event.id for event in fresh.events}
    other = (Event("z", "", 1.0, id=global_id(1, 1)),)
    assert made.combine(shown(0), [Part(LIVE, shown(1, events=other))], NOW).events == other


def test_devices_of_a_host_have_its_name_and_their_newest_reading() -> None:
    def read(time: float, device: str = "cpu") -> DeviceView:
        sample = DeviceSample("vm", device, "CPU", time, 0.5)
        return DeviceView(sample, recent=(sample,))

    made = Combining()
    local, there = shown(0, devices=(read(5.0),)), shown(1, devices=(read(6.0), read(1.0, "gpu0")))
    part = Part(LIVE, there, live_devices=(read(9.0),))
    found = made.combine(local, [part], NOW).devices
    assert [(item.sample.host, item.sample.device, item.sample.time) for item in found] == [
        ("vm", "cpu", 5.0),
        ("gpu1", "cpu", 9.0),
        ("gpu1", "gpu0", 1.0),
    ]
    assert found[1].recent[0].host == "gpu1"
    again = made.combine(replace(local, problem="x"), [part], NOW).devices
    assert again is found


def test_promotions_by_time_each_store_keeps_its_champion() -> None:
    mine, theirs = Promotion("champion", 1, 1, 5.0, id=1), Promotion("champion", 9, 9, 4.0, id=9)
    found = Combining().combine(
        shown(0, promotions=(mine,)), [Part(LIVE, shown(1, promotions=(theirs,)))], NOW
    )
    assert found.promotions == (theirs, mine)


def test_trouble_with_the_local_store_is_told_as_such() -> None:
    local = replace(shown(0), problem="locked")
    assert (
        Combining().combine(local, [Part(LIVE, replace(shown(1), problem="mirror"))], NOW).problem == "locked"
    )
