"""The engine's processes: starting, signalling, collecting. Nothing else here starts any."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lvmtui.errors import LaunchError
from lvmtui.liveness import process_alive
from lvmtui.store.records import Run

MOST_SAID = 65_536
"""Bytes that are kept of what a user's command says."""
KILL_SECONDS = 10.0
"""How long a killed process may take to disappear."""


def run_engine(args: Sequence[str]) -> int:
    """Run the engine's own command line on this terminal.

    Returns:
        Its exit code; 128 + the signal's number where a signal ended it.
    """
    process = subprocess.Popen([sys.executable, "-P", "-m", "engine", *args])
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue  # the terminal has sent it to the engine as well, which ends by itself
        return code if code >= 0 else 128 - code


def ask_engine(args: Sequence[str]) -> tuple[int, str]:
    """Run the engine's own command line on this terminal, but for what it prints on standard output.

    Returns:
        Its exit code, and what it printed.
    """
    command = [sys.executable, "-P", "-m", "engine", *args]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, text=True)
    return done.returncode, done.stdout


def start_engine(args: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the engine's command line detached from this process, which it outlives.

    Args:
        log: file that what it says is appended to; its folder is made where needed.

    Raises:
        OSError: the file or the process cannot be made.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "engine", *args],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def collect(process: subprocess.Popen[bytes]) -> None:
    """Take note of a process's end whenever it comes, so that nothing of it stays behind."""
    threading.Thread(target=process.wait, name=f"reaper-{process.pid}", daemon=True).start()


def run_python(code: str, *, seconds: float) -> tuple[int, str]:
    """Run a few lines of Python in a process of their own: what they import or crash is theirs.

    Returns:
        Exit code and output, errors included; code 124 when it took longer than `seconds`.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return 124, f"no answer within {seconds:.0f} s"
    return done.returncode, done.stdout


def run_hook(
    argv: Sequence[str], *, stdin: bytes, environment: Mapping[str, str], seconds: float
) -> tuple[int, str]:
    """Run a command of the user's, as it is given: there is no shell.

    Args:
        argv: program and arguments.
        stdin: what it can read; it need not.
        environment: added to this process's own.
        seconds: what still runs of it after that long is killed.

    Returns:
        Exit code and what it said on standard error; code 124 when it took longer than `seconds`.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    said: list[bytes] = []
    talks = [
        threading.Thread(target=_tell, args=(process, stdin), daemon=True),
        threading.Thread(target=_listen, args=(process, said), daemon=True),
    ]
    for talk in talks:
        talk.start()
    end = time.monotonic() + seconds
    try:
        process.wait(seconds)
        for talk in talks:
            talk.join(max(0.0, end - time.monotonic()))
        if any(talk.is_alive() for talk in talks):
            raise subprocess.TimeoutExpired(list(argv), seconds)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # What it started may have left its group and hold the pipes: nothing more is read of them.
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return 124, f"not done within {seconds:.0f} s"
    return process.returncode, b"".join(said).decode(errors="replace")


def _tell(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Write to a process that need not read."""
    assert process.stdin is not None
    with suppress(OSError, ValueError), process.stdin as pipe:
        pipe.write(text)


def _listen(process: subprocess.Popen[bytes], said: list[bytes]) -> None:
    """Keep the beginning of what a process says; the rest is read, so that it can go on, and thrown away."""
    assert process.stderr is not None
    kept = 0
    with suppress(OSError, ValueError), process.stderr as pipe:
        while data := os.read(pipe.fileno(), MOST_SAID):
            said.append(data[: max(0, MOST_SAID - kept)])
            kept += len(said[-1])


@contextmanager
def _signalling(pid: int) -> Iterator[None]:
    """A process that has just ended by itself needs no signal."""
    try:
        yield
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise LaunchError(
            f"process {pid} belongs to another user", "Ask its owner, or use an account that may signal it."
        ) from error


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has just ended by itself needs none.

    Raises:
        LaunchError: the process belongs to another user.
    """
    with _signalling(pid):
        os.kill(pid, number)


def kill_group(run: Run) -> None:
    """Kill a run's process and all it started, and wait until it is gone.

    Raises:
        LaunchError: the process belongs to another user, or will not die.
    """
    pid = run.pid
    if pid is None:
        return
    with _signalling(pid):
        # Engines lead a process group of their own. Anything else is no group of ours to kill.
        kill = os.killpg if os.getpgid(pid) == pid else os.kill
        kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while process_alive(run):
        if time.monotonic() > deadline:
            raise LaunchError(
                f"process {pid} does not end",
                "It may hang in the kernel (a network file system, a driver); see `ps`.",
            )
        time.sleep(0.02)
