"""Alerts: what is one, that each comes once, and that the past is none."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmtui.alerts.kinds import Alert, DiskLimit, DiskSpace, Kind
from lvmtui.alerts.pace import LEAST_SECONDS, UNKNOWN_SECONDS, Pace
from lvmtui.alerts.rules import NO_ANSWER_SECONDS, RECOVERED_SECONDS
from lvmtui.alerts.unseen import TWIN_SECONDS, unseen, untold
from lvmtui.alerts.watch import Watch
from lvmtui.findings import Finding
from lvmtui.merge import EVENTS_KEPT, Merge
from lvmtui.snapshot import RunView, Snapshot, shown_state
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import Event, Interval, Progress, Severity, Versus
from lvmtui.versus import KEY, as_details
from tests.tui import snapshots
from tests.tui.stores import new_run

NOW = snapshots.NOW


def running(best: float | None = 0.15, *, epoch: int = 5, number: int = 17, **changes: Any) -> RunView:
    """A run that trains, or what it is changed to."""
    record = snapshots.run(
        number, "phase-3", best, status=Status.RUNNING, epoch=epoch, best_epoch=epoch if best else None
    )
    progress = {key: changes.pop(key) for key in list(changes) if key in Progress.__dataclass_fields__}
    record = replace(record, progress=replace(record.progress, **progress))
    lost = str(changes.pop("lost", ""))
    fields = {key: changes.pop(key) for key in list(changes) if key in type(record).__dataclass_fields__}
    record = replace(record, **fields)
    view = replace(snapshots.view(record, lost=lost), **changes)
    return replace(view, state=shown_state(record, lost or None))


def ended(result: Result, **changes: Any) -> RunView:
    return running(status=Status.DONE, result=result, **changes)


class Looking:
    """A watch and a clock."""

    def __init__(self, *first: RunView, **rules: object) -> None:
        self.watch = Watch(**rules)  # type: ignore[arg-type]
        self.now = NOW
        self.found: list[Alert] = []
        self.at_start = self.see(*first)

    def see(self, *views: RunView, after: float = 1.0, events: tuple[Event, ...] = ()) -> list[Alert]:
        self.now += after
        shown = Snapshot(store="/p/runs.db", taken=self.now, runs=views, events=events)
        found = self.watch.look(shown, self.now)
        self.found += found
        return found

    def wait(self, view: RunView, seconds: float) -> list[Alert]:
        """A look every second, as the heartbeat makes them."""
        return [alert for _ in range(round(seconds)) for alert in self.see(view)]


def kinds(alerts: list[Alert]) -> list[Kind]:
    return [alert.kind for alert in alerts]


def test_nothing_is_told_of_the_past() -> None:
    found = Looking(
        running(0.25),
        ended(Result.FAILED, number=3),
        ended(Result.LOST, number=4),
        ended(Result.COMPLETED, number=5),
    )
    assert found.at_start == []
    assert found.see(running(0.25, epoch=6)) == []


def test_a_new_best_says_its_interval_and_whether_it_beats_the_baseline() -> None:
    looking = Looking(running(0.110))
    view = running(0.179, epoch=6)
    compared = Versus("ewm-whitened", 0.061, Interval(0.04, 0.08), 0.0004, context=view.baseline.context)  # type: ignore[union-attr]
    best = replace(view.best, details={KEY: as_details([compared])})  # type: ignore[type-var]
    (alert,) = looking.see(replace(view, best=best))
    assert (alert.kind, alert.run_id, alert.run, alert.severity) == (
        Kind.NEW_BEST,
        17,
        "phase-3 #17",
        Severity.INFO,
    )
    assert alert.message == (
        "new best Hit@5 17.9 [16.8, 19.1] at epoch 6; above its baseline: "
        "Hit@5 +6.1 [+4.0, +8.0], p<.001 against ewm-whitened, paired over the same queries"
    )


def test_a_new_best_below_the_baseline_says_so() -> None:
    (alert,) = Looking(running(0.05)).see(running(0.09, epoch=6))
    assert "below its baseline" in alert.message
    assert "ewm-whitened" in alert.message


def test_each_new_best_is_told_once_and_not_again_after_a_resume() -> None:
    looking = Looking(running(0.10))
    assert kinds(looking.see(running(0.12, epoch=6))) == [Kind.NEW_BEST]
    assert looking.see(running(0.12, epoch=7)) == []
    assert kinds(looking.see(running(0.13, epoch=8))) == [Kind.NEW_BEST]
    assert looking.see(running(0.12, epoch=6, attempt=2)) == []
    assert looking.see(running(0.13, epoch=8, attempt=2)) == []
    assert kinds(looking.see(running(0.14, epoch=9, attempt=2))) == [Kind.NEW_BEST]


def test_a_run_launched_while_watching_has_no_past() -> None:
    looking = Looking()
    assert kinds(looking.see(running(0.10, created=NOW + 0.5))) == []
    later = running(0.10, created=NOW + 60)
    assert kinds(looking.see(later, after=100)) == [Kind.NEW_BEST]


def test_a_run_that_comes_in_from_elsewhere_has_one() -> None:
    looking = Looking()
    assert looking.see(ended(Result.FAILED, number=9), after=100) == []


def test_a_target_is_told_when_it_is_reached() -> None:
    looking = Looking(running(0.19))
    found = looking.see(running(0.21, epoch=6))
    targets = [alert for alert in found if alert.kind is Kind.TARGET]
    assert [alert.message for alert in targets] == [
        "target reached: Hit@1 7.3 [6.2, 8.5] at epoch 6, wanted 7.0",
        "target reached: Hit@5 21.0 [19.9, 22.2] at epoch 6, wanted 20.0",
        "target reached: Hit@10 27.1 [26.0, 28.3] at epoch 6, wanted 25.0",
    ]
    assert kinds(looking.see(running(0.22, epoch=7))) == [Kind.NEW_BEST]


@pytest.mark.parametrize(
    ("view", "kind", "words"),
    [
        (ended(Result.COMPLETED), Kind.COMPLETED, "completed 5 epochs; best Hit@5 15.0"),
        (
            ended(Result.EARLY_STOPPED),
            Kind.EARLY_STOP,
            "at epoch 5, 2 evaluations without a gain; best Hit@5",
        ),
        (ended(Result.FAILED, error="TrainingError: NaN\n  File"), Kind.FAILED, "failed: TrainingError: NaN"),
    ],
)
def test_an_end_is_told_once(view: RunView, kind: Kind, words: str) -> None:
    looking = Looking(running())
    (alert,) = looking.see(view)
    assert alert.kind is kind
    assert words in alert.message
    assert looking.see(replace(view, run=replace(view.run, note="changed"))) == []


def test_a_stop_that_was_asked_for_is_no_alert() -> None:
    assert Looking(running()).see(ended(Result.STOPPED)) == []


def test_a_run_is_lost_once_and_again_after_a_resume() -> None:
    looking = Looking(running())
    lost = running(lost="process 4242 is gone")
    (alert,) = looking.see(lost)
    assert (alert.kind, alert.message) == (Kind.LOST, "lost at epoch 5: process 4242 is gone")
    assert looking.see(ended(Result.LOST)) == []
    assert looking.see(running(attempt=2, pid=5000)) == []
    assert kinds(looking.see(running(attempt=2, pid=5000, lost="process 5000 is gone"))) == [Kind.LOST]


def test_a_run_that_is_found_lost_is_told_once() -> None:
    lost = running(lost="process 4242 is gone")
    looking = Looking(lost)
    assert kinds(looking.at_start) == [Kind.LOST]
    assert looking.see(replace(lost, run=replace(lost.run, note="looked at"))) == []
    assert looking.see(ended(Result.LOST)) == []


def test_a_heartbeat_that_comes_and_goes_is_one_alert_until_it_has_recovered() -> None:
    looking = Looking(running())
    silent = running(lost="no heartbeat for 5 s")
    for _ in range(3):
        looking.see(silent)
        looking.see(running())
    assert kinds(looking.found) == [Kind.LOST]
    looking.wait(running(), RECOVERED_SECONDS)
    assert kinds(looking.see(silent)) == [Kind.LOST]


def test_a_killed_run_says_who_killed_it() -> None:
    event = Event("lost", "lost: killed by anna@box", NOW + 2, Severity.WARN, run_id=17, id=1)
    (alert,) = Looking(running()).see(ended(Result.LOST), events=(event,))
    assert alert.message == "lost at epoch 5: killed by anna@box"


def found(finding: Finding, number: int, *, at: float = NOW + 1, run_id: int = 17) -> Event:
    return replace(finding.event(at), run_id=run_id, id=number)


def test_findings_of_the_live_audit_are_told_once_an_attempt() -> None:
    finding = Finding("not-finite", "the loss was NaN at step 731", Severity.ERROR, "Lower the rate.")
    other = Finding("few-steps", "few steps", Severity.WARN)
    events: tuple[Event, ...] = (found(finding, 1, at=NOW - 50),)
    looking = Looking(running())
    assert looking.see(running(), events=events) == []  # the first reading had no events
    events += (found(finding, 2), found(finding, 3), found(other, 4), found(finding, 5, run_id=99))
    (alert,) = looking.see(running(), events=events)
    assert (alert.kind, alert.message) == (
        Kind.DIVERGENCE,
        "the loss was NaN at step 731. Lower the rate",
    )
    assert looking.see(running(note="x"), events=events) == []
    events += (found(finding, 6),)
    assert looking.see(running(), events=events) == []
    assert looking.see(running(attempt=2), events=events) == []
    assert kinds(looking.see(running(attempt=2), events=(*events, found(finding, 7)))) == [Kind.DIVERGENCE]


def test_which_events_are_new() -> None:
    events = tuple(Event("best", "", NOW + k, id=k) for k in range(1, 6))
    assert [event.id for event in unseen(events, 3, 0.0)] == [4, 5]
    assert [event.id for event in unseen(events, 0, NOW + 4)] == [4, 5]
    assert [event.id for event in unseen(events, 900, NOW + 5)] == [5]  # of another store in its place
    assert unseen((), 3, 0.0) == ()


def test_an_alert_that_an_event_says_too_is_told_once():
    def alert(kind, run_id=1, time=NOW):
        return Alert(kind, run_id, Severity.INFO, "words", time)

    events = (
        Event("lost", "lost: silent", NOW - 2 * TWIN_SECONDS, run_id=1, id=1),
        Event("best", "new best", NOW - 1, run_id=1, id=2),
    )
    alone = [
        alert(Kind.TARGET),  # no event is written of it
        alert(Kind.NEW_BEST, run_id=2),  # of another run
        alert(Kind.LOST),  # the event is of an earlier loss
    ]
    assert untold([alert(Kind.NEW_BEST), *alone], events) == alone
    assert untold(alone, ()) == alone
    assert untold((), events) == []


def test_an_audit_of_a_run_that_is_over_is_no_alert() -> None:
    finding = Finding("divergence", "it ran away", Severity.ERROR)
    done = ended(Result.COMPLETED, ended=NOW + 2)
    looking = Looking(running())
    assert kinds(looking.see(done)) == [Kind.COMPLETED]
    assert looking.see(done, events=(found(finding, 8, at=NOW + 900),)) == []


def test_a_validation_loss_that_is_no_number_is_told() -> None:
    looking = Looking(running())
    view = running(epoch=6, best=0.15, best_epoch=5)
    broken = replace(view, last=replace(view.last, loss=None))  # type: ignore[type-var]
    (alert,) = looking.see(broken)
    assert (alert.kind, alert.message) == (Kind.DIVERGENCE, "the validation loss of epoch 6 is not a number")
    assert looking.see(replace(broken, run=replace(broken.run, note="x"))) == []


def test_a_stall_is_told_once_a_step() -> None:
    looking = Looking(running(step=400))
    for step in range(401, 420):
        looking.see(running(step=step))
    assert looking.wait(running(step=420), LEAST_SECONDS - 2) == []
    (alert,) = looking.wait(running(step=420), 20)
    assert (alert.kind, alert.severity) == (Kind.STALL, Severity.WARN)
    assert alert.message == "no step for 1m00s at epoch 6 (usual: 1s)"
    assert looking.wait(running(step=420), 300) == []
    looking.see(running(step=421))
    assert kinds(looking.wait(running(step=421), 90)) == [Kind.STALL]


def test_a_run_that_always_takes_long_does_not_stall() -> None:
    looking = Looking(running(step=400), stall_factor=5)
    for step in range(401, 406):
        looking.wait(running(step=step), 30)
    assert looking.wait(running(step=406), 140) == []
    assert kinds(looking.wait(running(step=406), 20)) == [Kind.STALL]


def test_judging_at_the_end_of_an_epoch_may_take_an_epochs_time() -> None:
    pace, progress = Pace(), Progress(epoch=1, epochs=10, step=100, steps=1000, epoch_seconds=50.0)
    pace.stalled(progress, 1, 0.0, 5.0)
    assert not any(pace.stalled(progress, 1, 1.0, 5.0) for _ in range(249))
    assert pace.stalled(progress, 1, 1.0, 5.0) == "no step for 4m10s at the end of epoch 1 (usual: 50s)"


def test_where_nothing_is_known_a_stall_takes_its_time() -> None:
    looking = Looking(running(None, step=3, epoch_seconds=None))
    assert looking.wait(running(None, step=3, epoch_seconds=None), UNKNOWN_SECONDS - 2) == []
    (alert,) = looking.wait(running(None, step=3, epoch_seconds=None), 20)
    assert "the usual time is not known yet" in alert.message


def test_time_that_nobody_watched_is_no_stall() -> None:
    looking = Looking(running(step=400))
    looking.see(running(step=401))
    assert looking.see(running(step=401), after=3600) == []


def test_a_stop_that_is_not_answered_is_told_once() -> None:
    asked = running(stop_requested=True)
    looking = Looking(running())
    found = looking.wait(replace(asked), NO_ANSWER_SECONDS + 30)
    assert kinds(found) == [Kind.NO_ANSWER]
    assert "there is no answer" in found[0].message


def test_an_archived_run_that_is_lost_is_left_alone() -> None:
    assert Looking(running(lost="process 4242 is gone", archived=True)).at_start == []
    assert Looking(running(lost="process 4242 is gone", trashed=NOW)).at_start == []


def test_a_reading_with_a_problem_says_nothing() -> None:
    watch = Watch()
    assert watch.look(Snapshot("s", NOW, (running(),)), NOW) == []
    broken = Snapshot("s", NOW, (running(lost="gone"),), problem="the store was removed")
    assert watch.look(broken, NOW) == []


def test_another_store_in_the_same_place_is_no_news() -> None:
    looking = Looking(ended(Result.COMPLETED))
    assert looking.see(ended(Result.FAILED, created=NOW - 20_000)) == []


def test_hostile_names_are_made_harmless() -> None:
    view = running(0.2, epoch=6, phase="\x1b]0;owned\x07x\n[red]")
    alert = next(alert for alert in Looking(running(0.1)).see(view) if alert.kind is Kind.NEW_BEST)
    assert alert.run == "x [red] #17"


@pytest.mark.parametrize(
    ("limit", "free", "low"),
    [
        (DiskLimit(2 << 30), 3 << 30, False),
        (DiskLimit(2 << 30), 1 << 30, True),
        (DiskLimit(0, 0.05), 4 << 30, True),
        (DiskLimit(0), 0, False),
    ],
)
def test_a_nearly_full_disk_is_told_once(limit: DiskLimit, free: int, low: bool) -> None:
    watch = Watch(disk=limit)
    disk = DiskSpace("/p/runs.db", free, 100 << 30)
    assert [alert.kind for alert in watch.look_at_disk(disk, NOW)] == ([Kind.DISK] if low else [])
    assert watch.look_at_disk(disk, NOW + 30) == []


def test_a_disk_is_told_of_again_once_it_had_room() -> None:
    watch = Watch(disk=DiskLimit(2 << 30))
    full, room = DiskSpace("/p", 1 << 30, 100 << 30), DiskSpace("/p", 9 << 30, 100 << 30)
    (alert,) = watch.look_at_disk(full, NOW)
    assert alert.text == "1 GiB (1.0 %) free on the disk of /p; runs that cannot write wait"
    assert watch.look_at_disk(room, NOW) == []
    assert len(watch.look_at_disk(full, NOW)) == 1


STATES: dict[str, dict[str, Any]] = {
    "running": {},
    "stopping": {"status": Status.STOPPING},
    "lost": {"lost": "process 4242 is gone"},
    "failed": {"status": Status.DONE, "result": Result.FAILED},
    "completed": {"status": Status.DONE, "result": Result.COMPLETED},
    "recorded lost": {"status": Status.DONE, "result": Result.LOST},
}

LOOKS = st.lists(
    st.tuples(
        st.sampled_from(sorted(STATES)),
        st.integers(1, 3),
        st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.25]),
        st.booleans(),
        st.sampled_from([0.0, 1.0, 10.0, 500.0]),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=150)
@given(LOOKS)
def test_nothing_is_told_twice(looks: list[tuple[str, int, float, bool, float]]) -> None:
    """Whatever a run does, in whatever order: one alert for each score, target, finding and end."""
    finding = Finding("divergence", "it ran away", Severity.ERROR)
    looking = Looking(running(0.05))
    attempts: int
    events: tuple[Event, ...]
    attempts, events = 1, ()
    for what, attempt, best, diverged, after in looks:
        attempts = max(attempts, attempt)  # attempts only grow
        if diverged:
            events = (*events, found(finding, len(events) + 1, at=looking.now))
        view = running(best, attempt=attempts, **STATES[what])
        looking.see(view, after=after, events=events)
        again = looking.see(replace(view, run=replace(view.run, note="the same")), after=0.0, events=events)
        assert again == []
    bests = Counter(alert.message for alert in looking.found if alert.kind is Kind.NEW_BEST)
    assert max(bests.values(), default=0) <= 1
    assert [alert.kind for alert in looking.found].count(Kind.TARGET) <= 3
    assert [alert.kind for alert in looking.found].count(Kind.DIVERGENCE) <= attempts
    ends = [alert.kind for alert in looking.found if alert.kind in {Kind.FAILED, Kind.COMPLETED}]
    assert len(ends) <= 2 * attempts
    lost = [alert for alert in looking.found if alert.kind is Kind.LOST]
    alive = sum(min(after, 10.0) for what, _, _, _, after in looks if what in {"running", "stopping"})
    assert len(lost) <= attempts + alive / RECOVERED_SECONDS


def test_a_state_that_is_no_end_is_no_alert() -> None:
    assert Looking().see(running(None, status=Status.QUEUED, created=NOW + 5), after=9) == []


def test_a_snapshot_has_the_newest_events_of_all_runs(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    first, second = new_run(database, "phase-1"), new_run(database, "phase-2")
    merge = Merge(Reader(database))
    merge.read(NOW)
    before = merge.build((), NOW).events
    assert [event.run_id for event in before] == [first.run_id, second.run_id]
    merge.read(NOW)
    assert merge.build((), NOW + 1).events is before
    second.writer.events([Event("looked", "", NOW)] * EVENTS_KEPT)
    merge.read(NOW)
    events = merge.build((), NOW + 2).events
    assert len(events) == EVENTS_KEPT
    assert {event.kind for event in events} == {"looked"}
    assert [event.id for event in events] == sorted(event.id for event in events)
    database.close()
