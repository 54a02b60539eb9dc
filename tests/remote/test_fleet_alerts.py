"""Alerts of runs on other machines: like those of runs here, and none of a host that comes back with much."""

from dataclasses import replace

from lvmtui.alerts.hosts import PATIENCE_SECONDS, TOLD_AT_ONCE
from lvmtui.alerts.kinds import Alert, Kind
from lvmtui.alerts.unseen import newest_ids, unseen
from lvmtui.alerts.watch import Watch
from lvmtui.config import ViewOptions
from lvmtui.remote.hosts import global_id
from lvmtui.snapshot import Contact, HostView, RunView, Snapshot, shown_state
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Event, Severity
from tests.tui import snapshots

NOW = snapshots.NOW
LIVE = HostView("gpu1", Contact.LIVE, is_whole=True)
AWAY = HostView("gpu1", Contact.OFFLINE, reason="no route to host", news=NOW)


def running(number: int = 1, **changes: object) -> RunView:
    record = snapshots.run(number, "phase-3", 0.15, status=Status.RUNNING, epoch=5, best_epoch=5)
    run = replace(record, id=global_id(1, number), origin="gpu1", created=NOW - 900, **changes)  # type: ignore[arg-type]
    return replace(snapshots.view(record), run=run, state=shown_state(run, None))


def ended(number: int) -> RunView:
    return running(number, status=Status.DONE, result=Result.COMPLETED)


class Looking:
    """A watch and a clock."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.now = NOW

    def see(
        self, host: HostView, *views: RunView, after: float = 1.0, events: tuple[Event, ...] = ()
    ) -> list[Alert]:
        self.now += after
        shown = Snapshot(store="/p", taken=self.now, runs=views, hosts=(host,), events=events)
        return self.watch.look(shown, self.now)


def kinds(alerts: list[Alert]) -> list[Kind]:
    return [alert.kind for alert in alerts]


def test_what_a_live_host_tells_is_an_alert_at_once() -> None:
    looking = Looking()
    assert looking.see(LIVE, running(1)) == []
    (alert,) = looking.see(LIVE, ended(1))
    assert (alert.kind, alert.run) == (Kind.COMPLETED, "phase-3 #1@gpu1")


def test_what_was_so_when_a_host_first_answers_is_the_past() -> None:
    looking = Looking()
    connecting = HostView("gpu1", Contact.CONNECTING)
    assert looking.see(connecting) == []
    assert looking.see(connecting, running(1)) == []
    assert looking.see(replace(LIVE, is_whole=False), running(1), ended(2)) == []
    assert looking.see(LIVE, ended(1), ended(2), ended(3)) == []


def test_a_host_that_goes_and_comes_back_is_told_once_each() -> None:
    looking = Looking()
    looking.see(LIVE, running(1))
    assert looking.see(AWAY, running(1)) == []
    assert looking.watch.again == PATIENCE_SECONDS, "then it is to be told, even if nothing changes"
    (gone,) = looking.see(AWAY, running(1), after=PATIENCE_SECONDS)
    assert (gone.kind, gone.severity, gone.run_id) == (Kind.HOST, Severity.WARN, None)
    assert looking.watch.again is None
    assert gone.text == "gpu1 cannot be reached: no route to host"
    assert looking.see(AWAY, running(1), after=3000) == []
    assert looking.see(replace(LIVE, is_whole=False), running(1)) == []
    (back,) = looking.see(LIVE, running(1))
    assert (back.kind, back.severity) == (Kind.HOST, Severity.INFO)
    assert back.text.startswith("gpu1 is back after ")


def test_a_connection_that_breaks_for_a_moment_is_no_news() -> None:
    looking = Looking()
    looking.see(LIVE, running(1))
    assert looking.see(AWAY, running(1)) == []
    assert looking.see(LIVE, running(1), after=PATIENCE_SECONDS / 2) == []


def test_a_host_that_could_never_be_reached_is_no_news() -> None:
    looking = Looking()
    assert [looking.see(AWAY, after=60.0) for _ in range(5)] == [[]] * 5


def test_little_that_happened_meanwhile_is_told_in_full() -> None:
    looking = Looking()
    looking.see(LIVE, running(1), running(2))
    looking.see(AWAY, running(1), running(2))
    alerts = looking.see(LIVE, ended(1), ended(2))
    assert kinds(alerts) == [Kind.COMPLETED] * 2


def test_much_that_happened_meanwhile_is_told_as_one() -> None:
    looking = Looking()
    many = range(1, TOLD_AT_ONCE + 9)
    looking.see(LIVE, *map(running, many))
    looking.see(AWAY, *map(running, many))
    looking.see(AWAY, *map(running, many), after=60.0)
    back, meanwhile = looking.see(LIVE, *map(ended, many))
    assert back.text == "gpu1 is back after 1m01s"
    assert meanwhile.text == f"on gpu1 meanwhile: {len(many)} completed"
    assert looking.see(LIVE, *map(ended, many)) == [], "and not one by one afterwards"


def test_what_stands_still_because_nothing_is_heard_is_no_stall() -> None:
    looking = Looking()
    looking.see(LIVE, running(1))
    assert [looking.see(AWAY, running(1), after=9.0) for _ in range(1, 200)].count([]) == 198


def test_trouble_with_the_local_store_silences_no_host() -> None:
    looking = Looking()
    looking.see(LIVE, running(1))
    looking.now += 1
    shown = Snapshot(store="/p", taken=looking.now, runs=(ended(1),), hosts=(LIVE,), problem="locked")
    assert kinds(looking.watch.look(shown, looking.now)) == [Kind.COMPLETED]


def test_events_are_new_by_the_store_that_they_are_of() -> None:
    mine = [Event("best", "", NOW + k, id=k) for k in (1, 2, 3)]
    theirs = [Event("best", "", NOW + k - 0.5, id=global_id(1, k)) for k in (1, 2)]
    events = sorted([*mine, *theirs], key=lambda event: event.time)
    assert newest_ids(events) == (3, global_id(1, 2))
    assert unseen(events, newest_ids(events), 0.0) == ()
    assert [event.id for event in unseen(events, (3, global_id(1, 1)), 0.0)] == [global_id(1, 2)]
    assert list(unseen(events, (3,), NOW + 99)) == [], "of a new host only what came since"
    assert newest_ids(mine, (global_id(1, 7),)) == (global_id(1, 7), 3), "a host that is away is remembered"


def test_what_was_seen_survives_in_the_options() -> None:
    options = ViewOptions().having_seen((3, global_id(1, 7), global_id(2, 9)))
    assert (options.events_seen, options.seen) == (3, (3, global_id(1, 7), global_id(2, 9)))
    assert ViewOptions(events_seen_there=("x", "-1", "٣")).seen == ()
