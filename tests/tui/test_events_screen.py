"""The events screen, and the App that tells alerts."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from lvmtui.alerts.kinds import Alert, Kind
from lvmtui.alerts.settings import AlertSettings
from lvmtui.app import LvmtuiApp
from lvmtui.config import Config, load_state
from lvmtui.messages import EventsSeen, OptionsChanged, RunOpened
from lvmtui.screens.events import EventsScreen
from lvmtui.snapshot import Snapshot
from lvmtui.store.database import Database
from lvmtui.store.records import Event, Severity
from lvmtui.widgets.event_list import EventDetail, EventList
from lvmtui.widgets.text_filter import TextFilter
from tests.tui import snapshots
from tests.tui.bench import Bench, BenchApp, bench
from tests.tui.driving import opened, text, until
from tests.tui.stores import new_run

Compare = Callable[..., bool]
SIZES = [(80, 24), (120, 36), (180, 50)]
NOW = snapshots.NOW


pytestmark = pytest.mark.usefixtures("fixed_surroundings")


def some_events() -> tuple[Event, ...]:
    """What happened in a working week, oldest first."""
    told = [
        Event("launched", "phase-2 #12 queued by anna@box", NOW - 90_000, run_id=12),
        Event("best", "new best: Hit@5 16.40 at epoch 19", NOW - 86_000, run_id=12, evidence={"epoch": 19}),
        Event("early_stopped", "early stopped: no gain in 3 evaluations", NOW - 85_000, run_id=12),
        Event(
            "audit",
            "8 of 50 documents are in two splits",
            NOW - 80_000,
            Severity.ERROR,
            {"check": "leak", "advice": "Split by document.", "data": "9d9d", "documents": [3, 9, 12.5]},
        ),
        Event(
            "failed", "failed: the loss is NaN [red]at step 731[/red]", NOW - 9000, Severity.ERROR, run_id=11
        ),
        Event("started", "attempt 1 on box (cuda), pid 4242", NOW - 7290, run_id=17),
        Event("gone", "a run that was deleted \x1b[31mred", NOW - 400, Severity.WARN, run_id=99),
        Event("best", "new best: Hit@5 17.90 at epoch 16", NOW - 90, run_id=17, evidence={"epoch": 16}),
    ]
    return tuple(replace(event, id=number) for number, event in enumerate(told, start=1))


def shown(events: tuple[Event, ...] | None = None) -> Snapshot:
    return replace(snapshots.snapshot(), events=some_events() if events is None else events)


ALERTS = (
    Alert(Kind.STALL, 16, Severity.WARN, "no step for 2m30s at epoch 8 (usual: 3s)", NOW - 60, "phase-1 #16"),
    Alert(Kind.DISK, None, Severity.WARN, "1 GiB (1.0 %) free on the disk of /project/runs.db", NOW - 30),
)


class AlertingBench(BenchApp):
    """Has alerts, as the App has."""

    alerts = ALERTS
    alerts_seen = 1
    began = NOW - 3600


def opened_screen(snapshot: Snapshot | None = None, size: tuple[int, int] = (120, 36)):  # type: ignore[no-untyped-def]
    return bench(EventsScreen(), shown() if snapshot is None else snapshot, 17, size)


def rows(found: Bench) -> list[str]:
    return [line.cells["message"].plain for line in found.screen.query_one(EventList).lines]


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(5):
        await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_pictures(snap_compare: Compare, size: tuple[int, int]) -> None:
    app = AlertingBench(EventsScreen(), shown(), 17)
    assert snap_compare(app, terminal_size=size, run_before=settle)


def test_picture_of_an_empty_store(snap_compare: Compare) -> None:
    app = BenchApp(EventsScreen(), Snapshot(store="/project/runs.db", taken=NOW), None)
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


def test_picture_in_ascii(snap_compare: Compare) -> None:
    app = AlertingBench(EventsScreen(), shown(), 17)
    app.ascii_only = True
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


async def test_newest_first_and_outside_text_is_text() -> None:
    async with opened_screen() as found:
        assert rows(found)[:4] == [
            "new best: Hit@5 17.90 at epoch 16",
            "a run that was deleted red",
            "attempt 1 on box (cuda), pid 4242",
            "failed: the loss is NaN [red]at step 731[/red]",
        ]
        assert len(rows(found)) == 8


async def test_new_events_come_in_while_the_cursor_stays() -> None:
    async with opened_screen() as found:
        table = found.screen.query_one(EventList)
        await found.pilot.press("j", "j")
        assert table.cursor == "event-6"
        more = Event("best", "new best: Hit@5 18.10 at epoch 20", NOW + 5, run_id=17, id=9)
        assert found.app.snapshot is not None
        await found.give(replace(found.app.snapshot, events=(*some_events(), more)))
        assert table.cursor == "event-6"
        assert rows(found)[0] == more.message
        await found.pilot.press("g")
        newest = replace(more, id=10, time=NOW + 6)
        await found.give(replace(found.app.snapshot, events=(*some_events(), more, newest)))
        assert table.cursor == "event-10"


async def test_only_warnings_and_errors_and_words() -> None:
    async with opened_screen() as found:
        await found.pilot.press("exclamation_mark")
        assert len(rows(found)) == 3
        await found.pilot.press("slash", *"nan #11", "enter")
        assert rows(found) == ["failed: the loss is NaN [red]at step 731[/red]"]
        assert "1 of 8 events" in text(found.app)
        await found.pilot.press("slash", "escape", "exclamation_mark")
        assert len(rows(found)) == 8
        await found.pilot.press("slash", *"best -17", "enter")
        assert rows(found) == ["new best: Hit@5 16.40 at epoch 19"]
        changed = found.posted(OptionsChanged)
        assert changed[-1].options.events_filter == "best -17"


async def test_escape_shows_all_again_then_leaves(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    new_run(database, "phase-3")
    async with opened(tmp_path / "runs.db") as (app, pilot):
        await pilot.press("slash", *"phase", "enter", "5", "slash", *"launch", "enter")
        await until(pilot, lambda: app.options.events_filter == "launch", "the filter")
        await pilot.press("escape")
        await until(pilot, lambda: not app.options.events_filter, "all events")
        assert app.current_mode == "events"
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "dashboard", "the dashboard")
        assert app.options.filter == "phase"
        await pilot.press("4", "escape")
        await until(pilot, lambda: app.current_mode == "dashboard", "the dashboard")
        assert app.options.filter == "phase"
    database.close()


async def test_nothing_that_fits_says_so() -> None:
    async with opened_screen() as found:
        await found.pilot.press("slash", *"zebra")
        await found.pilot.pause()
        assert "None of 8 events has these words." in text(found.app)
        assert found.screen.query_one(TextFilter).has_class("-open")


async def test_evidence_and_advice_of_the_row_under_the_cursor() -> None:
    async with opened_screen() as found:
        await found.pilot.press(*"jjjj")
        await found.pilot.pause()
        panel = found.screen.query_one(EventDetail)
        said = "\n".join(line.plain for line in panel.lines)
        assert "8 of 50 documents are in two splits. Split by document." in said
        assert "documents 3, 9, 12.5" in said
        assert "audit" in panel.heading()


async def test_enter_opens_the_run() -> None:
    async with opened_screen() as found:
        await found.pilot.press("enter")
        assert [message.run_id for message in found.posted(RunOpened)] == [17]
        await found.pilot.press("j", "enter")  # its run is gone
        assert len(found.posted(RunOpened)) == 1


async def test_what_is_new_has_a_dot_until_the_visit_ends() -> None:
    app = AlertingBench(EventsScreen(), shown(), 17)
    seen: list[EventsSeen] = []
    async with app.run_test(
        size=(120, 36), message_hook=lambda m: seen.append(m) if isinstance(m, EventsSeen) else None
    ) as pilot:
        await pilot.pause()
        lines = app.first.query_one(EventList).lines
        assert ["•" in line.cells["new"].plain for line in lines] == [True, False, True, True] + [False] * 6
        assert (seen[-1].newest, seen[-1].alerts) == ((8,), 2)
        assert "• 3 new" in text(app)


async def test_what_the_store_tells_is_not_told_again_by_an_alert() -> None:
    app = AlertingBench(EventsScreen(), shown(), 17)
    best = Alert(Kind.NEW_BEST, 17, Severity.INFO, "new best Hit@5 17.9 at epoch 16", NOW - 89, "a #17")
    app.alerts = (*ALERTS, best)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        lines = app.first.query_one(EventList).lines
        told = [line.cells["message"].plain for line in lines if "17.9" in line.cells["message"].plain]
        assert told == ["new best: Hit@5 17.90 at epoch 16"]
        assert "2 alerts in this session" in text(app)


async def test_the_app_tells_alerts_and_counts_what_is_unread(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    run = new_run(database, "phase-3").start().train(2)
    hook = tmp_path / "hook.json"
    command = (sys.executable, "-c", f"import sys; open({str(hook)!r}, 'a').write(sys.stdin.read() + '\\n')")
    config = Config(alerts=AlertSettings(command=command))
    async with opened(tmp_path / "runs.db", config=config) as (app, pilot):
        await until(pilot, lambda: app.snapshot and app.snapshot.events, "the events")
        assert (app.alerts, app.unread_events) == ((), 0)
        run.final = 0.9
        run.train(1)
        await until(pilot, lambda: app.alerts, "an alert")
        assert {alert.kind for alert in app.alerts} >= {Kind.NEW_BEST}
        await until(pilot, lambda: "new best" in text(app), "the toast")
        assert app.unread_events > 0
        await until(pilot, hook.exists, "the command")
        await pilot.press("5")
        await until(pilot, lambda: "alert: new-best" in text(app), "the events screen")
        await until(pilot, lambda: app.unread_events == 0, "a visit")
        newest = app.options.events_seen
        assert newest == app.snapshot.events[-1].id  # type: ignore[union-attr]
    assert load_state(str(tmp_path / "runs.db")).options.events_seen == newest
    told = [json.loads(line) for line in hook.read_text().splitlines() if line]
    assert told[0]["run"] == "phase-3 #1"
    database.close()


async def test_a_lost_run_is_told_at_the_start_and_readonly_runs_no_command(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    new_run(database, "phase-2").start(pid=os.getpid(), process_started=1.0).train(1)
    hook = tmp_path / "hook"
    config = Config(alerts=AlertSettings(command=(sys.executable, "-c", f"open({str(hook)!r}, 'w')")))
    async with opened(tmp_path / "runs.db", config=config, readonly=True) as (app, pilot):
        await until(pilot, lambda: app.alerts, "the alert")
        assert [alert.kind for alert in app.alerts] == [Kind.LOST]
        await until(pilot, lambda: "lost at epoch 1" in text(app), "the toast")
        assert app._notifier is None
    assert not hook.exists()
    database.close()


async def test_kinds_that_are_off_are_not_told(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    new_run(database, "phase-2").start(pid=os.getpid(), process_started=1.0).train(1)
    config = Config(alerts=AlertSettings(kinds=(Kind.FAILED,)))
    async with opened(tmp_path / "runs.db", config=config) as (app, pilot):
        await until(pilot, lambda: app.snapshot and app.snapshot.events, "the events")
        assert app.alerts == ()
    database.close()


async def test_a_command_that_fails_is_told_once(tmp_path: Path) -> None:
    Database.open(tmp_path / "runs.db").close()
    config = Config(alerts=AlertSettings(command=("/no/such/program",)))
    async with opened(tmp_path / "runs.db", config=config) as (app, pilot):
        app.tell_alerts(ALERTS)
        app.tell_alerts(ALERTS)
        await until(pilot, lambda: "cannot be run" in text(app), "the failure")
        assert text(app).count("cannot be run") == 1


async def test_many_alerts_share_a_toast(tmp_path: Path) -> None:
    Database.open(tmp_path / "runs.db").close()
    async with opened(tmp_path / "runs.db") as (app, pilot):
        before = len(app._notifications)
        app.tell_alerts([replace(ALERTS[0], message=f"alert {k}") for k in range(7)])
        await until(pilot, lambda: "and 4 more" in text(app), "the toast")
        assert len(app._notifications) == before + 1
        assert len(app.alerts) == 7


async def test_new_bests_in_a_row_do_not_pile_up(tmp_path: Path) -> None:
    Database.open(tmp_path / "runs.db").close()
    best = Alert(Kind.NEW_BEST, 1, Severity.INFO, "new best", NOW, "demo #1")
    async with opened(tmp_path / "runs.db") as (app, pilot):
        before = len(app._notifications)
        for seconds in (0.0, 1.0, 2.0, 11.0):
            app.tell_alerts([replace(best, time=NOW + seconds)])
        await pilot.pause()
        assert len(app._notifications) == before + 2
        assert len(app.alerts) == 4


def test_the_app_without_a_store_is_quiet() -> None:
    assert LvmtuiApp("nowhere.db").unread_events == 0
