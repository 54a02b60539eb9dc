"""The devices screen: readings of runs and of this machine, and which run each process is."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from lvmtui.host_processes import HostReading, HostSampler, ProcessReading
from lvmtui.messages import RunFocused, RunOpened
from lvmtui.screens.devices import DevicesScreen
from lvmtui.snapshot import DeviceView, Snapshot
from lvmtui.store.database import Database
from lvmtui.store.records import DeviceSample
from lvmtui.widgets.device_rows import KEPT_SECONDS, Past, hosts, run_of
from lvmtui.widgets.device_table import DeviceDetail, DeviceTable
from tests.tui import snapshots
from tests.tui.bench import Bench, BenchApp, bench
from tests.tui.driving import opened, text, until
from tests.tui.stores import new_run

Compare = Callable[..., bool]
SIZES = [(80, 24), (120, 36), (180, 50)]
NOW = snapshots.NOW
GIB = 1 << 30


pytestmark = pytest.mark.usefixtures("fixed_surroundings")


def gpu(number: int, at: float, *, host: str = "box", run_id: int | None = 17) -> DeviceSample:
    """A reading of a GPU at a moment of the last minutes."""
    busy = 0.5 + 0.4 * ((at * 7) % 1)
    return DeviceSample(
        host,
        f"gpu{number}",
        "NVIDIA H200",
        NOW + at,
        busy,
        round((30 + busy * 10) * GIB),
        139 * GIB,
        36 * GIB,
        55 + 10 * busy,
        300 + 100 * busy,
        run_id,
    )


def cpu(at: float, host: str = "box", run_id: int | None = 17) -> DeviceSample:
    busy = 0.2 + 0.3 * ((at * 3) % 1)
    return DeviceSample(
        host,
        "cpu",
        "AMD EPYC 9454 48-Core Processor",
        NOW + at,
        busy,
        21 * GIB,
        64 * GIB,
        2 * GIB,
        run_id=run_id,
    )


def views() -> tuple[DeviceView, ...]:
    """What two runs on two machines have measured; the second has fallen silent."""
    times = [k * -1.7 for k in range(60, -1, -1)]
    near = [tuple(gpu(0, at) for at in times), tuple(cpu(at) for at in times)]
    far = [tuple(gpu(number, at - 90, host="far", run_id=16) for at in times) for number in (0, 10, 9)]
    return tuple(
        DeviceView(past[-1], tuple(item.utilisation for item in past), past[-1].host == "far", past)
        for past in (*near, *far)
    )


def shown() -> Snapshot:
    """Two runs that train: one here (`box`), one on another machine (`far`)."""
    known = snapshots.snapshot()
    runs = []
    for view in known.runs:
        if view.run.id == 17:
            view = replace(
                view, run=replace(view.run, device="cuda:0 NVIDIA H200", process_started=NOW - 5000)
            )
        if view.run.id == 16:
            view = replace(view, run=replace(view.run, host="far", device="cuda:10 NVIDIA H200", pid=77))
        runs.append(view)
    return replace(known, runs=tuple(runs), devices=views())


def process(device: str, pid: int, **changes: object) -> ProcessReading:
    started = NOW - 5000 if pid == 4242 else NOW - 300
    made = ProcessReading(device, pid, "python3", "anna", True, False, 2 * GIB, 0.9, started)
    made = replace(made, lineage=((pid, started),))
    return replace(made, **changes)  # type: ignore[arg-type]


def reading() -> HostReading:
    """This machine: the run's process, its child, somebody else's, and one's own."""
    child = process("cpu", 4300, lineage=((4300, NOW - 300), (4242, NOW - 5000.4)), cpu=0.4)
    processes = (
        process("gpu0", 4242, memory=36 * GIB, cpu=None),
        process("gpu0", 999, name="", user="", is_own=False, memory=None, cpu=None, started=None, lineage=()),
        process("cpu", 4242, cpu=1.87),
        child,
        process("cpu", 700, name="postgres", user="root", is_own=False, cpu=0.31),
        process("cpu", 701, name="vim\x1b[31m", cpu=0.06),
        process("cpu", 702, is_this=True, cpu=0.07),
    )
    return HostReading("box", NOW, (cpu(0.0, run_id=None), gpu(0, 0.0, run_id=None)), processes)


def fixed(_: Collection[int]) -> HostReading:
    return reading()


def screen(found: HostReading | None = None) -> DevicesScreen:
    return DevicesScreen(lambda _: found or reading())


async def settle(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: pilot.app.screen.query_one(DeviceTable).lines, "a reading")
    for _ in range(3):
        await pilot.pause()


def table(found: Bench) -> list[list[str]]:
    """What stands in the lines: device, what, busy, memory; or a heading."""
    lines = []
    for line in found.screen.query_one(DeviceTable).lines:
        keys = ("device", "what", "busy", "memory")
        lines.append(
            [line.heading.plain] if line.heading else [line.cells[key].plain.strip() for key in keys]
        )
    return lines


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_pictures(snap_compare: Compare, size: tuple[int, int]) -> None:
    app = BenchApp(screen(), shown(), 17)
    assert snap_compare(app, terminal_size=size, run_before=settle)


def test_picture_where_nothing_trains(snap_compare: Compare) -> None:
    alone = HostReading("box", NOW, (cpu(0.0, run_id=None),), (), "no NVIDIA driver answers (not found)")
    app = BenchApp(screen(alone), Snapshot(store="/project/runs.db", taken=NOW), None)
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


def test_picture_in_ascii(snap_compare: Compare) -> None:
    app = BenchApp(screen(), shown(), 17)
    app.ascii_only = True
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


async def test_devices_and_processes() -> None:
    async with bench(screen(), shown(), 17, (160, 40)) as found:
        await settle(found.pilot)
        lines = table(found)
    assert lines[0] == ["box · this host"]
    assert lines[1][:2] == ["gpu0", "H200"]
    assert lines[2] == ["4242", "phase-3 #17", "", "36 GiB"]
    assert lines[3] == ["999", "other", "", ""]
    assert lines[4][:2] == ["cpu", "AMD EPYC 9454 48-Core"]
    assert lines[4][3].endswith("21/64 GiB")
    assert lines[5] == ["4242", "phase-3 #17", "187%", "2 GiB"]
    assert lines[6][:3] == ["4300", "phase-3 #17 · child", "40%"]
    assert lines[7][:2] == ["700", "other · root"]
    assert lines[8][:2] == ["701", "vim"]
    assert lines[9][:2] == ["702", "this dashboard"]
    assert lines[10] == ["far · measured by the runs there"]
    assert [line[0] for line in lines[11:]] == ["gpu0", "gpu9", "gpu10", "77"]
    assert lines[14] == ["77", "phase-1 #16", "", "36 GiB"]


async def test_enter_opens_the_run_of_a_process_and_the_cursor_is_on_it() -> None:
    async with bench(screen(), shown(), 18, (120, 36)) as found:
        await settle(found.pilot)
        await found.pilot.press("enter")  # a device is no run
        assert found.posted(RunOpened) == []
        await found.pilot.press("j", "enter")
        assert [message.run_id for message in found.posted(RunFocused)] == [17]  # type: ignore[attr-defined]
        assert [message.run_id for message in found.posted(RunOpened)] == [17]  # type: ignore[attr-defined]


async def test_the_past_of_the_device_under_the_cursor() -> None:
    async with bench(screen(), shown(), 17, (120, 36)) as found:
        await settle(found.pilot)
        panel = found.screen.query_one(DeviceDetail)
        lines = [line.plain for line in panel.lines]
        assert panel.heading() == "gpu0 · last 1m42s"
        assert [line.split()[0] for line in lines[:4]] == ["busy", "memory", "temp", "power"]
        assert "least 50%, most 86%" in lines[0]
        assert "GiB" in lines[1]
        assert "°C" in lines[2]
        assert " W" in lines[3]
        await found.pilot.press("j", "j", "j")
        await found.pilot.pause()
        said = "\n".join(line.plain for line in panel.lines)
        assert "no sensor for temp and power" in said


async def test_the_machine_is_read_only_while_the_screen_is_open() -> None:
    calls: list[float] = []

    def sampler(_: Collection[int]) -> HostReading:
        calls.append(time.monotonic())
        return reading()

    shows = DevicesScreen(sampler)
    async with bench(shows, shown(), 17, (120, 36)) as found:
        await settle(found.pilot)
        assert shows._timer is not None
        assert calls
        assert shows._timer._active.is_set()
        await found.app.push_screen(DevicesScreen(fixed))
        await found.pilot.pause()
        assert not shows._timer._active.is_set()
        await found.app.pop_screen()
        await found.pilot.pause()
        assert shows._timer._active.is_set()


async def test_a_machine_that_cannot_be_read_says_so() -> None:
    def broken(_: Collection[int]) -> HostReading:
        raise OSError("no /proc here")

    empty = Snapshot(store="/project/runs.db", taken=NOW)
    async with bench(DevicesScreen(broken), empty, None, (80, 24)) as found:
        await until(
            found.pilot, lambda: "This machine cannot be read: no /proc here" in text(found.app), "the words"
        )


async def test_in_the_app_this_machine_is_shown_though_nothing_trains(tmp_path: Path) -> None:
    Database.open(tmp_path / "runs.db").close()
    async with opened(tmp_path / "runs.db") as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "this host" in text(app), "the reading")
        assert "no run trains now" in text(app)


async def test_in_the_app_the_process_of_a_run_has_its_name(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    new_run(database, "phase-3").start().train(1)  # this very process
    async with opened(tmp_path / "runs.db") as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: f"{os.getpid()}" in text(app), "the process")
        line = next(line for line in text(app).splitlines() if str(os.getpid()) in line)
        assert "phase-3 #1" in line
    database.close()


def test_a_process_belongs_to_a_run_by_id_and_start() -> None:
    (view,) = [view for view in shown().runs if view.run.id == 17]
    recorded = view.run.process_started or 0.0
    assert run_of("box", ((4242, recorded + 1.0),), [view]) is view
    assert run_of("box", ((9, 1.0), (4242, recorded)), [view]) is view
    assert run_of("box", ((4242, recorded + 60.0),), [view]) is None
    assert run_of("far", ((4242, recorded),), [view]) is None
    assert run_of("box", (), [view]) is None


def test_the_past_forgets() -> None:
    past = Past()
    past.add([cpu(-KEPT_SECONDS - 1), cpu(-10), cpu(0)], NOW)
    past.add([cpu(0)], NOW)
    assert [sample.time for sample in past.of("box", "cpu")] == [NOW - 10, NOW]
    past.add([], NOW + 10 * KEPT_SECONDS)
    assert [sample.time for sample in past.of("box", "cpu")] == [NOW]


def test_a_device_that_nothing_measures_is_stale() -> None:
    past = Past()
    past.add([cpu(-60)], NOW)
    (host,) = hosts(None, None, past, NOW)
    assert host.devices[0].stale
    assert not host.is_this


def test_this_machine_really_is_read() -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        sampler = HostSampler()
        first = sampler.sample([os.getpid()])
        second = sampler.sample([os.getpid()])
        child.communicate()
    assert first.host == socket.gethostname()
    assert second.samples[0].device == "cpu"
    assert (second.samples[0].memory_total or 0) > 0
    found = {item.pid: item for item in second.processes}
    assert found[os.getpid()].is_this
    assert found[os.getpid()].cpu is not None
    assert found[child.pid].lineage[1][0] == os.getpid()
    assert found[child.pid].is_own
    assert {item.cpu for item in first.processes} == {None}
