"""Devices: how busy each of them is, and which run each process on it is."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from lvmtui import commands
from lvmtui.format import counted, plain
from lvmtui.messages import RunFocused, RunOpened
from lvmtui.screens.base import LvmScreen
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.device_rows import DeviceRow, HostRow, Past, ProcessRow, hosts, wanted_pids
from lvmtui.widgets.device_table import DeviceDetail, DeviceTable
from lvmtui.widgets.row_table import RowTable
from lvmtui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from lvmtui.host_processes import HostReading

Sampler = Callable[[Collection[int]], "HostReading"]
"""Reads this machine; is given the ids of the processes of runs."""

SAMPLE_SECONDS = 2.0
"""Between two readings of this machine, while the screen is open."""

FIRST_SECONDS = 0.4
"""How busy a processor is can only be said of some time: before the first reading, so much of it passes."""


class DevicesScreen(LvmScreen):
    """Every device of this machine and of those where runs train.

    This machine is read while the screen is open, whether anything trains or not; nothing of that is stored.
    """

    CSS_PATH = "devices.tcss"
    AUTO_FOCUS = "DeviceTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in commands.bindings("app") if binding.id == "back"
    ]

    def __init__(self, sampler: Sampler | None = None) -> None:
        """
        Args:
            sampler: reads this machine; None: its sensors.
        """
        super().__init__()
        self._sampler = sampler
        self._here: HostReading | None = None
        self._past = Past()
        self._hosts: list[HostRow] = []
        self._problem = ""
        self._sampling = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield StatusBar().data_bind(LvmScreen.snapshot)
        yield Static(id="summary", markup=False)
        yield DeviceTable()
        yield DeviceDetail()
        yield from super().compose()

    def on_screen_resume(self) -> None:
        """Begin to read this machine."""
        self.measure()
        if self._timer is None:
            self._timer = self.set_interval(SAMPLE_SECONDS, self.measure)
        else:
            self._timer.resume()

    def on_screen_suspend(self) -> None:
        """Nobody looks: read no more."""
        if self._timer is not None:
            self._timer.pause()

    @work(group="devices")
    async def measure(self) -> None:
        """Read this machine once, in a thread."""
        if self._sampling:
            return
        self._sampling = True
        try:
            wanted = wanted_pids(self.snapshot, socket.gethostname())
            self._here = await asyncio.to_thread(self._read, wanted)
            self._problem = ""
            self._past.add(self._here.samples, self._here.time)
        except (OSError, ImportError, RuntimeError) as error:
            self._problem = plain(str(error))
        finally:
            self._sampling = False
        if self.is_mounted:
            self._update()

    def _read(self, wanted: Collection[int]) -> HostReading:
        if self._sampler is None:
            # It loads psutil and NVML, and only this screen needs them.
            from lvmtui.host_processes import HostSampler

            self._sampler = HostSampler().sample
            self._sampler(wanted)
            time.sleep(FIRST_SECONDS)
        return self._sampler(wanted)

    def watch_snapshot(self) -> None:
        """Show what runs have measured."""
        self._update()

    @property
    def now(self) -> float:
        """When the newest reading was made."""
        read = [self.snapshot.taken] if self.snapshot else []
        return max([*read, self._here.time if self._here else 0.0], default=time.time())

    def _update(self) -> None:
        if not self.is_mounted:
            return
        now = self.now
        for view in self.snapshot.devices if self.snapshot else ():
            self._past.add(view.recent or (view.sample,), now)
        self._hosts = hosts(self.snapshot, self._here, self._past, now)
        empty = f"This machine cannot be read: {self._problem}" if self._problem else "Reading the sensors…"
        self.query_one(DeviceTable).show_hosts(self._hosts, now, empty)
        self._show_detail()
        self._summarise()

    def _summarise(self) -> None:
        devices = [device for host in self._hosts for device in host.devices]
        working = {process.run_id for device in devices for process in device.processes} - {None}
        parts = [
            counted(len(self._hosts), "host"),
            counted(len(devices), "device"),
            counted(len(working), "run") if working else "no run trains now",
        ]
        words = Content.assemble(
            (f" {' · '.join(parts)}" if devices else "", "bold"),
            (" · enter opens the run of a process" if working else "", MUTED),
        )
        line = self.query_one("#summary", Static)
        if not (isinstance(line.content, Content) and words.is_same(line.content)):
            line.update(words)

    def _under_cursor(self) -> tuple[HostRow, DeviceRow, ProcessRow | None] | None:
        key = self.query_one(DeviceTable).cursor
        for host in self._hosts:
            for device in host.devices:
                if device.key == key:
                    return host, device, None
                for process in device.processes:
                    if process.key == key:
                        return host, device, process
        return None

    def _show_detail(self) -> None:
        found = self._under_cursor()
        detail = self.query_one(DeviceDetail)
        if found is None:
            detail.show_device(None)
            return
        host, device, _ = found
        note = f"GPUs: {plain(host.gpu_problem)}" if host.gpu_problem else ""
        detail.show_device(device, note, host=host.name if host.watched and not host.is_this else "")

    @on(RowTable.Moved)
    def follow(self, message: RowTable.Moved) -> None:
        """Show the device's past; commands are about the run of the process."""
        message.stop()
        self._show_detail()
        found = self._under_cursor()
        if found is not None and found[2] is not None and found[2].run_id is not None:
            self.post_message(RunFocused(found[2].run_id))

    @on(RowTable.Opened)
    def open_run(self, message: RowTable.Opened) -> None:
        """Open the run of the process."""
        message.stop()
        found = self._under_cursor()
        if found is None:
            return
        process = found[2]
        if process is not None and process.run_id is not None:
            self.post_message(RunOpened(process.run_id))
        else:
            self.notify("This is no run of this store.", markup=False)

    async def action_back(self) -> None:
        """Leave; the filter of runs, which is not shown here, stays as it is."""
        await self.run_action("app.dashboard")

    def applicable(self, command: str) -> bool:
        """Nothing here can be overlaid."""
        return command != "mark" and super().applicable(command)
