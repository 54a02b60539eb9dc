"""Devices with the processes on them as a table, and the recent past of the one under the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.content import Content

from lvmtui import format as fmt
from lvmtui import host_words
from lvmtui.charts.figure import sparkline
from lvmtui.host_words import GLYPHS
from lvmtui.snapshot import Contact, HostView
from lvmtui.store.records import DeviceSample
from lvmtui.widgets.cells import INK, MUTED
from lvmtui.widgets.device_rows import DeviceRow, HostRow, ProcessRow
from lvmtui.widgets.devices import FULL
from lvmtui.widgets.host_line import colour_of
from lvmtui.widgets.look import ascii_only, ink
from lvmtui.widgets.meters import bar
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.row_table import Column, Line, RowTable

BAR = 8
"""Cells of a bar."""

NAME = 8
"""Cells of a sensor's name."""

LEAST_PAST = 8
"""Cells that the past of a sensor has at least, before least and most are left out."""

TREND = 24
"""Cells of the sparkline in the table: as many readings."""

COLUMNS = (
    Column("device", "device"),
    Column("what", "what", shrinks=True),
    Column("busy", "busy", right=True),
    Column("memory", "memory", right=True),
    Column("temperature", "temp", right=True, priority=2),
    Column("power", "power", right=True, priority=3),
    Column("since", "since", priority=1),
    Column("trend", "last readings", priority=4),
)


class DeviceTable(RowTable):
    """A line a device, GPUs first, and below each a line for every process on it."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, opens=True, id="device-table")

    def show_hosts(self, hosts: Sequence[HostRow], now: float, empty: str) -> None:
        """Show these machines.

        Args:
            hosts: from top to bottom.
            now: seconds since the epoch.
            empty: what is said where there are none.
        """
        self.empty = empty
        in_ascii = ascii_only(self)
        lines = []
        for host in hosts:
            lines.append(Line(f"host {host.name}", heading=_heading(host, now)))
            for device in host.devices:
                lines.append(_device_line(device, in_ascii))
                lines += [_process_line(process, _seen(host, now)) for process in device.processes]
        shown = [column for column in COLUMNS if _is_filled(column, lines)]
        self.show(lines, columns=shown)


def _is_filled(column: Column, lines: Sequence[Line]) -> bool:
    """Whether anything stands in a column: most machines have no sensor for something."""
    return column.priority == 0 or any(line.cells.get(column.key) for line in lines)


def _seen(host: HostRow, now: float) -> float:
    """Until when it is known what works on a machine."""
    silent = host.watched.news if host.watched is not None and not host.is_this else None
    return now if silent is None else min(now, silent)


def _heading(host: HostRow, now: float) -> Content:
    if host.watched is not None and not host.is_this:
        return _watched(host, host.watched, now)
    where = "this host" if host.is_this else "measured by the runs there"
    return Content.assemble((host.name, "bold"), (f" · {where}", MUTED))


def _watched(host: HostRow, view: HostView, now: float) -> Content:
    """`gpu1 · ● live`, `gpu3 · ✖ no answer since 14:02 · its last readings`."""
    how = host_words.standing(view)
    said = how.value if view.contact is Contact.LIVE else host_words.said(view, now)[0]
    if view.contact is not Contact.LIVE:
        what = "its last readings" if host.devices else "nothing was read of it yet"
    elif not host.devices and view.version:
        what = "no readings yet"
    else:
        what = "" if host.devices else "no readings: nothing trains there, and lvmtui is not installed"
    return Content.assemble(
        (host.name, "bold"),
        (" · ", MUTED),
        (f"{GLYPHS[how]} {said}", colour_of(how, INK)),
        (f" · {what}" if what else "", MUTED),
    )


def _device_line(device: DeviceRow, in_ascii: bool) -> Line:
    sample = device.sample
    quiet = MUTED if device.stale else ""
    return Line(
        device.key,
        {
            "device": Content.styled(fmt.plain(sample.device), quiet or "bold"),
            "what": Content.styled(model_of(sample), quiet),
            "busy": _gauge(sample.utilisation, _percent(sample.utilisation), quiet or "$success", in_ascii),
            "memory": _memory(sample, quiet, in_ascii),
            "temperature": Content.styled(_celsius(sample.temperature), quiet),
            "power": Content.styled(_watts(sample.power), quiet),
            "since": Content.styled(f"stale: {fmt.clock(sample.time)}" if device.stale else "", quiet),
            "trend": Content.styled(_trend(device.past, in_ascii), MUTED),
        },
    )


def model_of(sample: DeviceSample) -> str:
    """What people call the device."""
    name = fmt.plain(sample.name).removeprefix("NVIDIA ")
    for noise in ("(R)", "(TM)", " CPU", " Processor"):
        name = name.replace(noise, "")
    return " ".join(name.split())


def _gauge(share: float | None, said: str, style: str, in_ascii: bool) -> Content:
    """`▇▇▇▁▁▁▁▁  41 %`; the bar is blank where the share is not known."""
    if share is None:
        return Content.styled(said, MUTED)
    full, rest = bar(share, BAR, ascii_only=in_ascii)
    return Content.assemble((full, style), (rest, MUTED), f" {said:>4}")


def _memory(sample: DeviceSample, quiet: str, in_ascii: bool) -> Content:
    if not sample.memory_total:
        return Content.styled(fmt.MISSING, MUTED)
    used = sample.memory_used
    share = None if used is None else used / sample.memory_total
    style = quiet or ("$warning" if share is not None and share >= FULL else "$primary")
    return _gauge(share, fmt.memory(used, sample.memory_total), style, in_ascii)


def _trend(past: Sequence[DeviceSample], in_ascii: bool) -> str:
    return sparkline([item.utilisation for item in past], TREND, ascii_only=in_ascii)


def _process_line(process: ProcessRow, now: float) -> Line:
    style = "$accent" if process.run_id is not None else MUTED
    since = ""
    if process.started is not None:
        since = f"{fmt.clock(process.started)[:5]} {fmt.duration(max(0.0, now - process.started))}"
    return Line(
        process.key,
        {
            "device": Content.styled(f"  {process.pid}", MUTED),
            "what": Content.styled(process.what, style),
            "busy": Content(_percent(process.cpu)) if process.cpu is not None else Content(""),
            "memory": Content(fmt.size(process.memory)) if process.memory is not None else Content(""),
            "since": Content.styled(since, MUTED),
        },
    )


def _percent(share: float | None) -> str:
    return fmt.MISSING if share is None else f"{100 * share:.0f}%"


def _celsius(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}°C"


def _watts(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} W"


class DeviceDetail(Panel):
    """The last minutes of one device: utilisation, memory, temperature and power."""

    def __init__(self) -> None:
        super().__init__(id="device-detail")
        self._device: DeviceRow | None = None
        self._note = self._where = ""

    def show_device(self, device: DeviceRow | None, note: str = "", *, host: str = "") -> None:
        """Show another device, or new readings of it.

        Args:
            device: None: there is none.
            note: something that is to be known of its machine.
            host: the watched host that has it; empty: this machine.
        """
        self._device, self._note = device, note
        self._where = f" of {fmt.plain(host)}" if host else ""
        self.redraw()

    def heading(self) -> str:
        if self._device is None:
            return "readings"
        past = self._device.past
        if len(past) < 2:
            return "readings"
        span = fmt.duration(max(1.0, past[-1].time - past[0].time))
        return f"{fmt.plain(self._device.sample.device)}{self._where} · last {span}"

    def draw(self, width: int, height: int) -> Sequence[Text]:
        colours = ink(self)
        device = self._device
        if device is None:
            return [Text(line, colours.muted) for line in fmt.wrap(self._note, width, height)]
        shown, missing = _known(device)
        tails = [
            (f"  {item.written(item.values[-1]):>9}", f"  least {item.least}, most {item.most}")
            for item in shown
        ]
        room = width - NAME - max((len(now) + len(range_) for now, range_ in tails), default=0)
        if room < LEAST_PAST:
            tails = [(now, "") for now, _ in tails]
            room = width - NAME - max((len(now) for now, _ in tails), default=0)
        lines = []
        for item, (now, range_) in zip(shown, tails, strict=True):
            cells = max(0, min(room, len(item.values)))
            drawn = sparkline(item.values, cells, high=item.top, ascii_only=colours.ascii_only)
            colour = colours.success if item.name == "busy" else colours.primary
            line = Text(f"{item.name:<{NAME}}")
            lines.append(line.append(drawn, colour).append(now).append(range_, colours.muted))
        notes = [f"no sensor for {' and '.join(missing)}" if missing else "", self._note]
        said = " · ".join(filter(None, notes))
        return [*lines, *(Text(line, colours.muted) for line in fmt.wrap(said, width, height - len(lines)))]


@dataclass(frozen=True, slots=True)
class _History:
    """What one sensor has said."""

    name: str
    values: Sequence[float | None]
    """Oldest first."""
    top: float
    """The value of a full bar."""
    written: Callable[[float | None], str]

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def least(self) -> str:
        return self.written(min(self.known))

    @property
    def most(self) -> str:
        return self.written(max(self.known))


def _known(device: DeviceRow) -> tuple[list[_History], list[str]]:
    """The sensors that have said something, and the names of those that have not."""
    past, total = device.past, device.sample.memory_total
    memory = [None if item.memory_used is None else float(item.memory_used) for item in past]
    power = [item.power for item in past]
    strongest = max((value for value in power if value is not None), default=0.0)
    every = [
        _History("busy", [item.utilisation for item in past], 1.0, _percent),
        _History("memory", memory, float(total or 1), fmt.size),
        _History("temp", [item.temperature for item in past], 100.0, _celsius),
        _History("power", power, strongest or 1.0, _watts),
    ]
    return [item for item in every if item.known], [item.name for item in every if not item.known]
