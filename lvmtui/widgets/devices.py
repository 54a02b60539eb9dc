"""How busy the devices are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from lvmtui import format as fmt
from lvmtui.charts.figure import sparkline
from lvmtui.run_fields import host_of
from lvmtui.snapshot import DeviceView
from lvmtui.widgets.look import Ink, ink
from lvmtui.widgets.meters import bar_text
from lvmtui.widgets.panel import Panel

FULL = 0.9
"""Share of memory from which on the bar warns."""


class Devices(Panel):
    """A bar for each device's utilisation and memory. What has no sensor is left out."""

    def heading(self) -> str:
        return "devices"

    def draw(self, width: int, height: int) -> Sequence[Text]:
        colours = ink(self)
        if self.snapshot is None:
            return [Text("reading the store…", colours.muted)]
        if not self.snapshot.devices:
            said = "No readings yet: a run measures the devices of its host once a second."
            return [Text(line, colours.muted) for line in fmt.wrap(said, width, height)]
        near = host_of(self.view) if self.view is not None and self.snapshot.hosts else ""
        return device_lines(self.snapshot.devices, width, height, colours, near=near)


@dataclass(frozen=True, slots=True)
class _Gauge:
    """One line: a name, a bar, what it says, and lesser facts."""

    name: str
    share: float | None
    said: str
    facts: tuple[str, ...]
    colour: str
    stale: bool
    history: tuple[float | None, ...] = ()


def device_lines(
    devices: Sequence[DeviceView], width: int, height: int, colours: Ink, *, near: str = ""
) -> list[Text]:
    """Utilisation of every device, GPUs first; memory below each where there is room for it.

    Args:
        near: the machine that comes first, where there are watched ones: all are named then.
    """
    ordered = sorted(
        devices,
        key=lambda view: (view.sample.host != near, view.sample.host, view.sample.device == "cpu"),
    )
    name_hosts = bool(near) or len({view.sample.host for view in devices}) > 1
    busy = [_utilisation(view, colours, name_hosts) for view in ordered]
    memory = [_memory(view, colours) for view in ordered]
    spare = height - len(busy)
    gauges: list[_Gauge] = []
    for use, held in zip(busy, memory, strict=True):
        gauges.append(use)
        if held and spare > 0:
            gauges.append(held)
            spare -= 1
    gauges = gauges[:height]
    most = width * 2 // 5 if near else width // 3
    name_width = min(max(len(gauge.name) for gauge in gauges), max(6, most))
    said_width = max(len(gauge.said) for gauge in gauges)
    bar_width = max(0, min(12, width - name_width - said_width - 2))
    return [_line(gauge, name_width, bar_width, width, colours) for gauge in gauges]


def _utilisation(view: DeviceView, colours: Ink, name_hosts: bool) -> _Gauge:
    sample = view.sample
    is_gpu = sample.device.startswith("gpu")
    host = f"{fmt.plain(sample.host)} " if name_hosts else ""
    model = fmt.plain(sample.name).removeprefix("NVIDIA ") if is_gpu else ""
    facts = (
        f"{sample.temperature:.0f}°C" if sample.temperature is not None else "",
        f"{sample.power:.0f}W" if sample.power is not None else "",
        f"rss {fmt.size(sample.process_memory)}" if sample.process_memory is not None and not is_gpu else "",
    )
    said = "" if sample.utilisation is None else f"{100 * sample.utilisation:3.0f}%"
    return _Gauge(
        name=f"{host}{fmt.plain(sample.device)} {model}".rstrip(),
        share=sample.utilisation,
        said=f"{said} stale".strip() if view.stale else said,
        facts=(f"since {fmt.clock(sample.time)}",) if view.stale else facts,
        colour=colours.success,
        stale=view.stale,
        history=view.history,
    )


def _memory(view: DeviceView, colours: Ink) -> _Gauge | None:
    sample = view.sample
    if not sample.memory_total:
        return None
    share = None if sample.memory_used is None else sample.memory_used / sample.memory_total
    return _Gauge(
        name="vram" if sample.device.startswith("gpu") else "ram",
        share=share,
        said=fmt.memory(sample.memory_used, sample.memory_total),
        facts=(),
        colour=colours.warning if share is not None and share >= FULL else colours.primary,
        stale=view.stale,
    )


def _line(gauge: _Gauge, name_width: int, bar_width: int, width: int, colours: Ink) -> Text:
    """`gpu0   ▇▇▇▇▁  87%  61°C  412W` and, where there is room, the recent past."""
    quiet = colours.muted if gauge.stale else ""
    line = Text(f"{fmt.fit(gauge.name, name_width):<{name_width}} ", quiet)
    if bar_width:
        blank = gauge.share is None
        bar = (
            Text(" " * bar_width)
            if blank
            else bar_text(gauge.share, bar_width, quiet or gauge.colour, colours)
        )
        line.append_text(bar).append(" ")
    line.append(gauge.said, quiet)
    for fact in gauge.facts:
        if fact and line.cell_len + 2 + len(fact) <= width:
            line.append(f"  {fact}", quiet or colours.text)
    room = width - line.cell_len - 2
    if room >= 10 and any(value is not None for value in gauge.history):
        line.append(
            f"  {sparkline(gauge.history, min(room, 30), ascii_only=colours.ascii_only)}", colours.muted
        )
    line.truncate(width, overflow="ellipsis")
    return line
