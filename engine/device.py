"""Devices: which one to train on, and what their sensors say. Imports torch only to choose."""

import contextlib
import os
import platform
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from lvmtui.errors import TrainingError
from lvmtui.store.records import DeviceSample

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")

_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")
"""Names that Linux drivers give the processor's temperature, best first."""


def choose_device(wanted: str) -> "torch.device":
    """The device to train on.

    Args:
        wanted: `auto` (cuda, else mps, else cpu), or one of these.

    Raises:
        TrainingError: the wanted one is not here.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, here in available.items() if here)
    if not available[wanted]:
        here = ", ".join(name for name, found in available.items() if found)
        raise TrainingError(
            f"train.device is {wanted}, but this machine has none that torch {torch.__version__} can use",
            f"Here: {here}. Set train.device to auto, or install a torch built for {wanted}.",
        )
    return torch.device("cuda", torch.cuda.current_device()) if wanted == "cuda" else torch.device(wanted)


def device_name(device: "torch.device") -> str:
    """What people call the device: `cpu`, `mps`, `cuda:0 NVIDIA H200`."""
    import torch

    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)


class DeviceSampler:
    """Reads the processor and every NVIDIA GPU of this host.

    What has no sensor, or no permission to read it, is None; a GPU library that is missing or broken means
    no GPU samples.
    """

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self._process = psutil.Process()
        self._cpu_name = _cpu_name()
        self._nvml, self._gpus = _open_nvml()
        # The first reading has nothing to compare with and says 0.
        psutil.cpu_percent()

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
            process_memory=_reading(lambda: self._process_memory(handle)),
            temperature=None if celsius is None else float(celsius),
            power=None if milliwatts is None else milliwatts / 1000.0,
        )

    def _process_memory(self, handle: Any) -> int | None:
        """What this process holds on a GPU; None where the driver does not say (in a container, mostly)."""
        mine = [
            used.usedGpuMemory
            for used in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)
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


def _open_nvml() -> tuple[Any, list[Any]]:
    """NVML and a handle for each GPU; none where there is no driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        # NVMLError_LibraryNotFound without a driver; an OSError from a broken one.
        return None, []
    count = _reading(pynvml.nvmlDeviceGetCount) or 0
    handles = [_reading(lambda i=i: pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(count)]  # type: ignore[misc]
    return pynvml, [handle for handle in handles if handle is not None]


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
