"""What the sensors of this machine's devices say. Loads psutil, and NVML where there is an NVIDIA driver.

Shared with the engine, which stores a reading every second while it trains.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from lvmtui.store.records import DeviceSample

Value = TypeVar("Value")

_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")
"""Names that Linux drivers give the processor's temperature, best first."""


class DeviceSampler:
    """Reads the processor and every NVIDIA GPU of this host.

    What has no sensor, or no permission to read it, is None; a GPU library that is missing or broken means
    no GPU samples.
    """

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self._process = psutil.Process()
        self._cpu_name = _cpu_name()
        self._nvml, self._gpus, self.gpu_problem = _open_nvml()
        # The first reading has nothing to compare with and says 0.
        psutil.cpu_percent()

    @property
    def host(self) -> str:
        """The name of this machine."""
        return self._host

    def gpu_processes(self) -> list[tuple[str, int, int | None]]:
        """Each process that computes on a GPU: the GPU's name (`gpu0`), process id, and bytes on the GPU,
        where the driver says (in a container it mostly does not)."""
        return [
            (f"gpu{index}", used.pid, used.usedGpuMemory)
            for index, handle in enumerate(self._gpus)
            for used in self._running(handle)
        ]

    def _running(self, handle: Any) -> list[Any]:
        return _reading(lambda: list(self._nvml.nvmlDeviceGetComputeRunningProcesses(handle))) or []

    def sample(self) -> list[DeviceSample]:
        """One reading of every device."""
        now = time.time()
        return [self._cpu(now), *(self._gpu(index, handle, now) for index, handle in enumerate(self._gpus))]

    def _cpu(self, now: float) -> DeviceSample:
        memory = _reading(psutil.virtual_memory)
        percent = _reading(psutil.cpu_percent)
        rss = _reading(lambda: int(self._process.memory_info().rss))
        return DeviceSample(
            host=self._host,
            device="cpu",
            name=self._cpu_name,
            time=now,
            utilisation=None if percent is None else percent / 100.0,
            memory_used=None if memory is None else memory.total - memory.available,
            memory_total=None if memory is None else memory.total,
            process_memory=rss,
            temperature=_cpu_temperature(),
        )

    def _gpu(self, index: int, handle: Any, now: float) -> DeviceSample:
        nvml = self._nvml
        memory = _reading(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        rates = _reading(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        milliwatts = _reading(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        celsius = _reading(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        name = _reading(lambda: nvml.nvmlDeviceGetName(handle))
        return DeviceSample(
            host=self._host,
            device=f"gpu{index}",
            name=name.decode(errors="replace") if isinstance(name, bytes) else name or f"gpu{index}",
            time=now,
            utilisation=None if rates is None else rates.gpu / 100.0,
            memory_used=None if memory is None else int(memory.used),
            memory_total=None if memory is None else int(memory.total),
            process_memory=self._process_memory(handle),
            temperature=None if celsius is None else float(celsius),
            power=None if milliwatts is None else milliwatts / 1000.0,
        )

    def _process_memory(self, handle: Any) -> int | None:
        """What this process holds on a GPU; None where the driver does not say (in a container, mostly)."""
        mine = [
            used.usedGpuMemory
            for used in self._running(handle)
            if used.pid == os.getpid() and used.usedGpuMemory is not None
        ]
        return sum(mine) if mine else None


def _reading(sensor: Callable[[], Value]) -> Value | None:
    """A sensor's value; None when the system has no such sensor or refuses it."""
    try:
        return sensor()
    except Exception:
        # Drivers raise what they like here (NVMLError, OSError, AttributeError on old libraries), and no
        # sensor is worth a run.
        return None


def _open_nvml() -> tuple[Any, list[Any], str]:
    """NVML, a handle for each GPU, and why there is none."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:
        # NVMLError_LibraryNotFound without a driver; an OSError from a broken one.
        return None, [], f"no NVIDIA driver answers ({error})"
    count = _reading(pynvml.nvmlDeviceGetCount) or 0
    handles = [_reading(lambda i=i: pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(count)]  # type: ignore[misc]
    found = [handle for handle in handles if handle is not None]
    return pynvml, found, "" if found else "the NVIDIA driver knows no GPU"


def _cpu_temperature() -> float | None:
    """Degrees Celsius of the warmest core."""
    read = getattr(psutil, "sensors_temperatures", None)
    sensors = (_reading(read) if read else None) or {}
    for name in _CPU_SENSORS:
        readings = [entry.current for entry in sensors.get(name, ()) if entry.current]
        if readings:
            return float(max(readings))
    return None


def _cpu_name() -> str:
    """The processor's model."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
