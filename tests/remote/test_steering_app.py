"""The dashboard changes runs on a watched host as it changes those here, through a real sshd."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmtui import operations
from lvmtui.remote.hosts import slot_of
from lvmtui.screens.confirm import ConfirmScreen, GatesScreen
from lvmtui.screens.launch import LaunchScreen
from lvmtui.snapshot import Contact, RunView
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run
from lvmtui.widgets.start_line import StartLine, Switch
from tests import tiny
from tests.remote.conftest import Hosts, StartHosts
from tests.tui import stores
from tests.tui.driving import opened, text, until


@pytest.fixture
def gpu(ssh_hosts: StartHosts) -> Iterator[Hosts]:
    hosts = ssh_hosts("gpu1")
    tiny.write_vectors(hosts["gpu1"].home)
    yield hosts
    tiny.end_all(str(hosts["gpu1"].home / "runs.db"))


@pytest.fixture(autouse=True)
def _no_local_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvmtui.parts.queueing.QUEUE_SECONDS", 1e6)


def told(app: Any) -> str:
    return "\n".join(notice.message for notice in app._notifications)


def remote(app: Any, number: int = 1) -> RunView | None:
    views = app.snapshot.runs if app.snapshot else ()
    return next((view for view in views if view.run.origin and view.run.number == number), None)


def there(gpu: Hosts, number: int = 1) -> Run:
    database = Database.open(gpu["gpu1"].home / "runs.db", create=False)
    try:
        return Reader(database).run(number)
    finally:
        database.close()


def dashboard(gpu: Hosts, tmp_path: Path, **options: Any) -> Any:
    return opened(tmp_path / "runs.db", hosts=(gpu.host("gpu1"),), ssh=gpu.ssh, **options)


async def live(app: Any, pilot: Any) -> None:
    def is_live() -> bool:
        host = app.snapshot.host("gpu1")
        return host is not None and host.contact is Contact.LIVE and host.is_whole

    await until(pilot, is_live, "the host's list")


async def on(app: Any, pilot: Any, number: int) -> RunView:
    """Put the cursor on a run there."""
    await until(pilot, lambda: remote(app, number) is not None, f"run {number} there")
    view = remote(app, number)
    assert view is not None
    app.focused_run = view.run.id
    app.share_state()
    await pilot.pause()
    assert app.uppermost.cursor_run == view.run.id
    return view


async def test_notes_pins_shelves_and_taking_back(gpu: Hosts, tmp_path: Path) -> None:
    stores.filled(gpu["gpu1"].home / "runs.db")
    stores.filled(tmp_path / "runs.db")
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await live(app, pilot)
        view = await on(app, pilot, 4)
        assert slot_of(view.run.id)
        await pilot.press("i")
        await until(pilot, lambda: "phase-3 #4@gpu1 stays on top" in told(app), "the pin")
        await until(pilot, lambda: remote(app, 4).run.pinned, "the pin in the mirror")
        await pilot.press("e")
        await pilot.pause()
        await pilot.press(*"slow", "enter")
        await until(pilot, lambda: there(gpu, 4).note == "slow", "the note")
        await until(pilot, lambda: remote(app, 4).run.note == "slow", "the note in the mirror")
        await pilot.press("u")
        await until(pilot, lambda: there(gpu, 4).note == "", "the note taken back")
        await until(pilot, lambda: "Taken back: the note on phase-3 #4@gpu1" in told(app))
        await pilot.press("u")
        await until(pilot, lambda: not there(gpu, 4).pinned, "the pin taken back")
        await pilot.press("A")
        await until(pilot, lambda: there(gpu, 4).archived, "the archive")
        await until(pilot, lambda: "phase-3 #4@gpu1 is archived: u takes it back" in told(app))
        await pilot.press("u")
        await until(pilot, lambda: not there(gpu, 4).archived, "back from the archive")
    database = Database.open(tmp_path / "runs.db", create=False)
    assert not any(run.pinned or run.note for run in Reader(database).runs()), "nothing changed here"
    database.close()


async def test_the_trash_there(gpu: Hosts, tmp_path: Path) -> None:
    stores.filled(gpu["gpu1"].home / "runs.db")
    stores.filled(tmp_path / "runs.db")
    files = gpu["gpu1"].home / "runs" / "4"
    assert any(files.iterdir())
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await live(app, pilot)
        await on(app, pilot, 4)
        await pilot.press("D")
        await until(pilot, lambda: "Delete phase-3 #4@gpu1?" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: there(gpu, 4).trashed is not None, "the trash")
        await until(pilot, lambda: "phase-3 #4@gpu1 is in the trash: u takes it back" in told(app))
        await until(pilot, lambda: remote(app, 4).run.trashed, "the trash in the mirror")
        await pilot.press("a", "a")
        await on(app, pilot, 4)
        await pilot.press("D")
        await until(pilot, lambda: "its evaluations, checkpoints and log" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: "Really delete phase-3 #4@gpu1?" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: "phase-3 #4@gpu1 is deleted" in told(app), "the deletion")
        await until(pilot, lambda: remote(app, 4) is None, "its end in the mirror")
        await pilot.press("u")
        await until(pilot, lambda: "There is nothing to take back" in told(app))
    assert not files.exists()
    assert any((tmp_path / "runs" / "4").iterdir()), "the run here that has the same number"


async def test_the_queue_there(gpu: Hosts, tmp_path: Path) -> None:
    database = Database.open(gpu["gpu1"].home / "runs.db")
    stores.new_run(database, "first").start()
    for name in ("a", "b", "c"):
        stores.new_run(database, name)
    database.close()
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await live(app, pilot)
        await on(app, pilot, 4)
        await pilot.press("ctrl+up")
        await until(pilot, lambda: "c #4@gpu1 is 2 of 3 in the queue: waits for" in told(app), "the move")
        await pilot.press("H")
        await until(pilot, lambda: there(gpu, 4).held, "the hold")
        await until(pilot, lambda: remote(app, 4).run.held, "the hold in the mirror")
        await pilot.press("H")
        await until(pilot, lambda: not there(gpu, 4).held, "the release")


@pytest.mark.slow
async def test_launch_stop_resume_kill_and_promote_there(gpu: Hosts, tmp_path: Path, wait_until: Any) -> None:
    """From the form to the score on the test split, with a real engine."""
    phases = tmp_path / "phases"
    phases.mkdir()
    values = dict(tiny.ENDLESS) | {"data.path": "vectors"}
    values.pop("data")
    monkey = pytest.MonkeyPatch()
    monkey.chdir(tmp_path)
    try:
        (phases / "mine.toml").write_text(as_toml(values))
        async with dashboard(gpu, tmp_path) as (app, pilot):
            await until(pilot, lambda: app.snapshot.host("gpu1").contact is Contact.LIVE, "the host")
            app.launch_phase("mine")
            await until(pilot, lambda: isinstance(app.screen, LaunchScreen), "the form")
            form = app.screen
            await until(pilot, lambda: form.phase is not None and form.phase.name == "mine")
            assert "does not exist" in text(app), "its data are not here"
            form.query_one("#where", Switch).action_turn(1)
            await until(pilot, lambda: "starts on gpu1 at once" in text(app), "the outlook")
            assert form.query_one(StartLine).host == "gpu1"
            await pilot.press("enter")
            await until(pilot, lambda: "mine #1@gpu1 launched" in told(app), "the launch", seconds=60)
            await until(pilot, lambda: not isinstance(app.screen, LaunchScreen))
            await until(pilot, lambda: remote(app) and app.focused_run == remote(app).run.id, "the cursor")
            await until(pilot, lambda: remote(app).best is not None, "a score", seconds=60)

            await pilot.press("S")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press("y")
            await until(pilot, lambda: "mine #1@gpu1 was asked to stop" in told(app), "the stop")
            await until(pilot, lambda: there(gpu).result == "stopped", "its end", seconds=60)
            await until(pilot, lambda: remote(app).state.is_resumable, "its end in the mirror")

            await pilot.press("P")
            await until(pilot, lambda: isinstance(app.screen, GatesScreen))
            await until(pilot, lambda: "promoting reads it once" in text(app), "the gates", seconds=60)
            await pilot.press("y")
            await until(pilot, lambda: "mine #1@gpu1 is the champion now" in told(app), "the promotion")
            await until(pilot, lambda: remote(app).aliases == ("champion",), "the champion", seconds=60)
            said = "mine #1@gpu1 on the test split: Hit@5"
            await until(pilot, lambda: said in told(app), "its score on the test split", seconds=120)

            await pilot.press("r")
            await until(pilot, lambda: there(gpu).status == "running", "the resume", seconds=60)
            await until(pilot, lambda: remote(app).state.is_active and remote(app).run.pid, "the mirror")
            await pilot.press("K")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press("y")
            await until(pilot, lambda: "Really kill mine #1@gpu1?" in text(app))
            await pilot.press("y")
            await until(pilot, lambda: "mine #1@gpu1 was killed" in told(app), "the kill", seconds=60)
    finally:
        monkey.undo()


@pytest.mark.slow
async def test_a_judging_that_fails_there_is_told(gpu: Hosts, tmp_path: Path, wait_until: Any) -> None:
    store = gpu["gpu1"].home / "runs.db"
    data = {"data": str(gpu["gpu1"].home / "vectors")}
    operations.perform(store, "launch", {"phases": ["demo"], "overrides": tiny.TINY | data})
    wait_until(lambda: there(gpu).result == "completed", "the run")
    (gpu["gpu1"].home / "vectors" / "vectors.npy").unlink()
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await live(app, pilot)
        await on(app, pilot, 1)
        await pilot.press("P")
        await until(pilot, lambda: "promoting reads it once" in text(app), "the gates", seconds=60)
        await pilot.press("y")
        said = "demo #1@gpu1 was not judged on the test split"
        await until(pilot, lambda: said in told(app), "why not", seconds=90)
        assert "vectors.npy" in told(app)
        await until(pilot, lambda: remote(app).aliases == ("champion",), "the champion")


async def test_what_a_host_refuses_is_said_in_the_form(
    gpu: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "phases").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "phases" / "mine.toml").write_text(as_toml({"data.path": "nowhere", "train.epochs": "1"}))
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await until(pilot, lambda: app.snapshot.host("gpu1").contact is Contact.LIVE, "the host")
        app.launch_phase("mine")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen), "the form")
        form = app.screen
        await until(pilot, lambda: form.phase is not None and form.phase.name == "mine")
        form.query_one("#where", Switch).action_turn(1)
        await until(pilot, lambda: "starts on gpu1 at once" in text(app), "the outlook")
        await pilot.press("enter")
        await until(pilot, lambda: "the vector set nowhere does not exist" in text(app), "the refusal")
        assert app.screen is form
        assert form.phase.name == "mine"
        await pilot.press("enter")
        await until(pilot, lambda: "the vector set nowhere does not exist" in text(app), "the same again")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not form)
    assert not (gpu["gpu1"].home / "runs.db").exists()


async def test_what_waits_is_said_withdrawn_and_delivered(
    gpu: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lvmtui.parts.performing.ANSWER_SECONDS", 0.3)
    stores.filled(gpu["gpu1"].home / "runs.db")
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await live(app, pilot)
        await on(app, pilot, 7)
        gpu["gpu1"].stop()
        await until(pilot, lambda: app.snapshot.host("gpu1").contact is Contact.OFFLINE, "that it is away")
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        waits = "stop of phase-2b #7@gpu1 waits: gpu1 does not answer; it is asked once it is back"
        await until(pilot, lambda: waits in told(app), "that it waits")
        await until(pilot, lambda: remote(app, 7).pending == ("stop",), "what is pending")
        await pilot.press("S")
        await until(pilot, lambda: "was asked to stop already; that waits for gpu1" in told(app))
        await pilot.press("i")
        await until(pilot, lambda: "pin of phase-2b #7@gpu1 waits" in told(app), "the pin")
        (_, pin) = app.snapshot.host("gpu1").pending
        assert app.fleet.withdraw("gpu1", pin.id)
        await until(pilot, lambda: remote(app, 7).pending == ("stop",), "the pin's end")
        await pilot.press("q")
        await until(pilot, lambda: app._exit, "the end")
    shown = capsys.readouterr().err
    assert "1 request waits for gpu1. It is delivered when lvmtui is next opened." in shown
    gpu["gpu1"].start()
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await until(
            pilot,
            lambda: "gpu1 has answered: phase-2b #7@gpu1 is out of the queue" in told(app),
            "the answer",
        )
        await until(pilot, lambda: not app.snapshot.host("gpu1").pending)
    assert there(gpu, 7).result == "stopped"
    assert not there(gpu, 7).pinned


async def test_a_late_answer_wakes_who_has_asked(
    gpu: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.parts.performing.ANSWER_SECONDS", 0.3)
    stores.filled(gpu["gpu1"].home / "runs.db")
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await live(app, pilot)
        await on(app, pilot, 4)
        gpu["gpu1"].stop()
        await until(pilot, lambda: app.snapshot.host("gpu1").contact is Contact.OFFLINE, "that it is away")
        await pilot.press("A")
        await until(pilot, lambda: "archive of phase-3 #4@gpu1 waits" in told(app), "that it waits")
        gpu["gpu1"].start()
        app.fleet.retry("gpu1")
        await until(pilot, lambda: "phase-3 #4@gpu1 is archived: u takes it back" in told(app), "the answer")
        assert "gpu1 has answered" not in told(app), "told once"
        await until(pilot, lambda: there(gpu, 4).archived)
        await pilot.press("u")
        await until(pilot, lambda: not there(gpu, 4).archived, "the undo")


async def test_a_readonly_host_says_why_before_asking(gpu: Hosts, tmp_path: Path) -> None:
    stores.filled(gpu["gpu1"].home / "runs.db")
    script = (gpu["gpu1"].programs / "lvmtui").read_text().replace('"$@"', '"$@" --readonly')
    gpu["gpu1"].install(script)
    async with dashboard(gpu, tmp_path) as (app, pilot):
        await live(app, pilot)
        await on(app, pilot, 7)
        for action in ("stop", "resume", "kill", "promote", "annotate", "pin", "archive", "trash", "hold"):
            app._notifications.clear()
            getattr(app, f"action_{action}")()
            said = "phase-2b #7@gpu1 cannot be changed from here: it was started with --readonly there"
            await until(pilot, lambda said=said: said in told(app), action)
            assert not isinstance(app.screen, ConfirmScreen)
        app.action_launch()
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen), "the form")
        assert not app.screen.query("#where"), "nothing can be launched there"


def as_toml(values: dict[str, str]) -> str:
    """A recipe's file with these fields."""
    from lvmtui.recipe import full_name

    sections: dict[str, list[str]] = {}
    for key, value in values.items():
        section, _, name = full_name(key).partition(".")
        shown = value if value.replace(".", "").isdigit() else f'"{value}"'
        sections.setdefault(section, []).append(f"{name} = {shown}")
    return "\n".join(line for section, lines in sections.items() for line in (f"[{section}]", *lines))
