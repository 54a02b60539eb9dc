"""The App: state, modes, questions, and what it does to real stores."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmtui import paths
from lvmtui.config import Config, UiState, load_state, save_state
from lvmtui.screens.annotate import AnnotateScreen
from lvmtui.screens.confirm import ConfirmScreen, GatesScreen
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.help import HelpScreen
from lvmtui.screens.leaderboard import LeaderboardScreen
from lvmtui.screens.run import RunScreen
from lvmtui.snapshot import State
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.widgets.key_line import KeyLine
from lvmtui.widgets.run_list import RunList, RunTable
from tests.tui.driving import opened, text, until
from tests.tui.stores import Trainee, fill, new_run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def database(store: Path) -> Iterator[Database]:
    opened_store = Database.open(store)
    yield opened_store
    opened_store.close()


@pytest.fixture
def runs(database: Database) -> dict[str, Trainee]:
    return fill(database)


def test_nothing_heavy_before_the_first_paint(store: Path) -> None:
    """In a fresh interpreter: the store's libraries come after the first frame, torch never."""
    code = f"""
import asyncio, sys
from lvmtui.app import LvmtuiApp
heavy = ("torch", "sqlmodel", "sqlalchemy", "numpy", "pydantic", "watchfiles", "plotext", "psutil")
at_first_paint = []
class Probe(LvmtuiApp):
    def _start_feed(self):
        at_first_paint.append([name for name in heavy if name in sys.modules])
        at_first_paint.append("reading the store" in "".join(
            segment.text for strip in self.screen._compositor.render_strips() for segment in strip))
        super()._start_feed()
async def main():
    app = Probe({str(store)!r})
    async with app.run_test() as pilot:
        while app.snapshot is None:
            await pilot.pause(0.02)
    print(*at_first_paint, "torch" in sys.modules)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True False"


async def test_live_numbers_reach_the_screen(store: Path, database: Database) -> None:
    trainee = new_run(database, "phase-3").start().train(2)
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "phase-3 #1" in text(app), "the run")
        trainee.train(1)
        await until(pilot, lambda: "ep 3 Hit@5" in text(app), "the third epoch in the log")
        assert f"{100 * (trainee.best or 0):.1f}" in text(app)


async def test_a_run_that_appears_is_taken_up(store: Path) -> None:
    async with opened(store) as (app, pilot):
        assert "There are no runs yet" in text(app)
        database = Database.open(store)
        new_run(database, "phase-1").start().train(1)
        await until(pilot, lambda: "phase-1 #1" in text(app), "the run")
        await until(pilot, lambda: isinstance(app.focused, RunTable), "the list to have the focus")
        database.close()


async def test_the_cursor_stays_on_its_run(store: Path, runs: dict[str, Trainee], database: Database) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        assert app.focused_run == runs["second"].run_id, "the newest that runs"
        await pilot.press("j")
        await until(pilot, lambda: app.focused_run == runs["first"].run_id)
        new_run(database, "later")
        await until(pilot, lambda: "later" in text(app), "the new run")
        assert app.focused_run == runs["first"].run_id
        table = app.screen.query_one(RunTable)
        assert table.run_at_cursor == runs["first"].run_id
        await pilot.press("G")
        await until(pilot, lambda: app.focused_run == runs["champion"].run_id)
        await pilot.press("g")
        await until(pilot, lambda: app.view_of(app.focused_run).run.phase == "later")  # type: ignore[union-attr]


async def test_modes_and_back(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, LeaderboardScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert app.screen.view is app.view_of(app.focused_run)  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, LeaderboardScreen))
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen) and len(app.screen_stack) == 1)


async def test_the_footer_knows_the_rows_and_stays_under_a_dialog(
    store: Path, runs: dict[str, Trainee]
) -> None:
    async with opened(store) as (app, pilot):
        # The rows come after the snapshot: what can be done with a run is offered only then.
        await until(pilot, lambda: "space overlay" in text(app).splitlines()[-1], "the key of the rows")
        footer = app.screen.query_one(KeyLine)
        before = footer.render()
        await pilot.press("comma")
        await until(pilot, lambda: len(app.screen_stack) == 2, "the settings")
        footer.update()
        assert footer.render().plain == before.plain


async def test_marks_are_looked_at_and_cleared(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("space", "j", "space")
        wanted = (runs["second"].run_id, runs["first"].run_id)
        await until(pilot, lambda: app.marked == wanted, "two marks")
        await until(pilot, lambda: set(app.snapshot.details) == set(wanted), "both details")  # type: ignore[union-attr]
        await pilot.press("x")
        await until(pilot, lambda: app.marked == ())


async def test_stop_asks_says_what_happens_and_does_it(store: Path, runs: dict[str, Trainee]) -> None:
    waiting = runs["waiting"].run_id
    async with opened(store, focus=waiting) as (app, pilot):
        await until(pilot, lambda: app.focused_run == waiting)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "is taken out of the queue" in text(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: app.view_of(waiting).state is State.STOPPED, "stopped")  # type: ignore[union-attr]


async def test_a_running_run_is_told_to_finish_its_batch(store: Path, database: Database) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    import psutil

    trainee = new_run(database, "phase-3")
    trainee.start(pid=process.pid, process_started=psutil.Process(process.pid).create_time()).train(1)
    async with opened(store) as (app, pilot):
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "phase-3 #1 finishes its batch, saves a checkpoint and stops." in text(app)
        await pilot.press("y")
        await until(pilot, lambda: Reader(database).pending_controls(), "the request")
        assert process.wait(timeout=10) != 0, "nudged with SIGTERM"


async def test_kill_asks_twice(store: Path, database: Database) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    import psutil

    trainee = new_run(database, "phase-3")
    trainee.start(pid=process.pid, process_started=psutil.Process(process.pid).create_time()).train(1)
    async with opened(store) as (app, pilot):
        await pilot.press("K")
        await until(pilot, lambda: "Kill phase-3 #1?" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: "Really kill phase-3 #1?" in text(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        assert process.poll() is None
        await pilot.press("K")
        await until(pilot, lambda: "Kill phase-3 #1?" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: "Really kill phase-3 #1?" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: app.view_of(1).run.result is Result.LOST, "lost")  # type: ignore[union-attr]
        assert process.wait(timeout=10) == -9


async def test_promotion_shows_the_gates(store: Path, runs: dict[str, Trainee], database: Database) -> None:
    best = runs["second"].run_id
    async with opened(store, focus=best) as (app, pilot):
        await until(pilot, lambda: app.focused_run == best)
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, GatesScreen))
        await until(pilot, lambda: "beats the best baseline" in text(app), "the gates")
        assert "✔ passed" in text(app)
        assert "✖ failed" in text(app)
        assert "target 20.0" in text(app)
        await pilot.press("y")
        await until(pilot, lambda: app.view_of(best).aliases == ("champion",), "the champion")  # type: ignore[union-attr]
    assert len(Reader(database).promotions()) == 2


async def test_a_damaged_checkpoint_cannot_be_promoted(
    store: Path, runs: dict[str, Trainee], database: Database
) -> None:
    best = runs["second"]
    for file in (store.parent / "runs" / str(best.run_id)).glob("*.safetensors"):
        file.write_bytes(b"other")
    async with opened(store, focus=best.run_id) as (app, pilot):
        await until(pilot, lambda: app.focused_run == best.run_id)
        await pilot.press("P")
        await until(pilot, lambda: "is damaged" in text(app), "the gate")
        await pilot.press("y")
        await pilot.pause()
        assert isinstance(app.screen, GatesScreen)
        await pilot.press("n")
    assert len(Reader(database).promotions()) == 1


async def test_note_and_tags(store: Path, runs: dict[str, Trainee], database: Database) -> None:
    run_id = runs["second"].run_id
    async with opened(store, focus=run_id) as (app, pilot):
        await until(pilot, lambda: app.focused_run == run_id)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AnnotateScreen))
        await pilot.press(*"[b]hi", "tab", *"a,b", "enter")
        await until(pilot, lambda: app.view_of(run_id).run.note == "[b]hi", "the note")  # type: ignore[union-attr]
    assert Reader(database).run(run_id).tags == "a,b"


async def test_a_refusal_is_told_and_nothing_crashes(store: Path, runs: dict[str, Trainee]) -> None:
    champion = runs["champion"].run_id
    async with opened(store, focus=champion) as (app, pilot):
        await until(pilot, lambda: app.focused_run == champion)
        await pilot.press("S")
        await until(pilot, lambda: "there is nothing to stop" in text(app))
        await pilot.press("r")
        await until(pilot, lambda: "cannot be resumed" in text(app), "the launcher's words")


async def test_readonly_offers_nothing_that_changes_runs(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store, readonly=True) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("n", "S", "K", "P", "r", "e")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        assert "launch" not in text(app).splitlines()[-1]
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert "launch a run" not in text(app)


async def test_state_survives_a_restart(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("j", "space", "y", "plus", "X", "s", "t")
        await until(pilot, lambda: app.marked and app.options.sort != "started")
        theme, options, focused = app.theme, app.options, app.focused_run
    assert options.log_y
    assert options.smoothing > 0
    async with opened(store) as (app, pilot):
        assert (app.theme, app.options, app.focused_run) == (theme, options, focused)
        assert app.marked == (focused,)
    state = json.loads(paths.state_file().read_text())
    assert list(state["stores"]) == [str(store)]


async def test_marks_of_runs_that_are_gone_are_dropped(store: Path, runs: dict[str, Trainee]) -> None:
    save_state(str(store), UiState(focused_run=999, marked=(999, 1)))
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: app.focused_run == runs["second"].run_id)
        assert app.marked == (1,)


async def test_keys_can_be_remapped(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store, config=Config(keys={"help": "f1"})) as (app, pilot):
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("end")
        await until(pilot, lambda: "f1  show all keys" in text(app))


async def test_an_unknown_theme_is_told(store: Path) -> None:
    async with opened(store, config=Config(theme="pink")) as (app, pilot):
        await until(pilot, lambda: "there is no theme 'pink'" in text(app))
        assert app.theme == "lvm-dark"
        await pilot.press("t")
        await until(pilot, lambda: app.theme != "lvm-dark")
    assert load_state(str(store)).theme == app.theme


async def test_the_palette_has_every_command(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store, size=(120, 60)) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "theme lvm-light" in text(app) or "launch  (n)" in text(app))
        await pilot.press(*"leaderb")
        await until(pilot, lambda: "show the leaderboard" in text(app))
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LeaderboardScreen))


async def test_markup_in_data_is_shown_as_it_is(store: Path, database: Database) -> None:
    trainee = new_run(database, "phase-3").start().train(1)
    with trainee.log.open("a") as log:
        log.write("[red]boo[/red] [@click=app.quit]x[/] \x1b[2J\n")
    trainee.writer.event("note", "[bold]event[/bold]")
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "[red]boo[/red] [@click=app.quit]x[/]" in text(app))


async def test_an_idle_dashboard_paints_nothing(store: Path, database: Database) -> None:
    new_run(database, "phase-3").start().train(3).finish(Result.COMPLETED)
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: app.snapshot.details and isinstance(app.focused, RunTable))  # type: ignore[union-attr]
        await pilot.pause(0.3)
        painted: list[object] = []
        screen, show = app.screen, app._display
        app._display = lambda *what: (painted.append(what), show(*what))  # type: ignore[method-assign, assignment, func-returns-value]
        before = app.snapshot
        deadline = time.monotonic() + 2.5
        await until(pilot, lambda: time.monotonic() > deadline, seconds=5)
        assert app.snapshot is before
        assert not painted
        assert app.screen is screen


async def test_a_corrupt_store_is_explained_and_can_heal(store: Path) -> None:
    store.write_bytes(b"nonsense" * 1000)
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "The run store cannot be read" in text(app))
        store.unlink()
        database = Database.open(store)
        new_run(database, "phase-1")
        await until(pilot, lambda: "phase-1 #1" in text(app), "the run")
        database.close()
        assert app.screen.query_one(RunList).display


async def test_a_run_that_does_not_stop_may_be_killed(
    store: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.parts.requests.ESCALATION_SECONDS", 0.2)
    trainee = new_run(database, "phase-3").start().train(1)
    Controller(database).request_stop(trainee.run_id)
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "K kills it" in text(app), "the offer")
