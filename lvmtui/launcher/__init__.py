"""Starts and signals runs: the only place that starts engine processes. Knows no screen."""

from lvmtui.launcher import queueing
from lvmtui.launcher.filling import fill, fill_slots
from lvmtui.launcher.launching import NOW, Start, check_group, launch, launch_group
from lvmtui.launcher.places import open_store, run_folder
from lvmtui.launcher.processes import ask_engine, collect, run_engine, run_hook, run_python, start_engine
from lvmtui.launcher.steering import REMOTE_SILENCE, kill, proven_loss, resume, stop, stop_group

__all__ = [
    "NOW",
    "REMOTE_SILENCE",
    "Start",
    "ask_engine",
    "check_group",
    "collect",
    "fill",
    "fill_slots",
    "kill",
    "launch",
    "launch_group",
    "open_store",
    "proven_loss",
    "queueing",
    "resume",
    "run_engine",
    "run_folder",
    "run_hook",
    "run_python",
    "start_engine",
    "stop",
    "stop_group",
]
