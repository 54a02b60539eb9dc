"""Watched hosts for tests: real sshds on loopback, see the fixture `ssh_hosts`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.common.link import SSHD, SshHost
from benchmarks.common.link import ssh_hosts as start_hosts
from lvmtui.remote.hosts import Host


@dataclass(frozen=True)
class Hosts:
    """Machines that ssh reaches."""

    ssh: tuple[str, ...]
    """How ssh is called to reach them: for `Link(ssh=…)`, or `LVMTUI_SSH=" ".join(…)`."""
    machines: dict[str, SshHost]

    def __getitem__(self, name: str) -> SshHost:
        """One of them; its `home` is the login folder, so its store is `home / "runs.db"`."""
        return self.machines[name]

    def host(self, name: str, store: str = "", command: tuple[str, ...] = ()) -> Host:
        """What lvmtui knows of one of them."""
        return Host(name, name, store, command)


StartHosts = Callable[..., Hosts]


@pytest.fixture(scope="session")
def _sshd_works(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Why no test with a real sshd can run here; empty: they can."""
    if not SSHD:
        return "there is no OpenSSH server: apt-get install openssh-server"
    folder = tmp_path_factory.mktemp("ssh")
    try:
        with start_hosts(folder, ["probe"]) as (_, hosts):
            words = [*hosts["probe"].ssh, "true"]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:  # TimeoutError: nobody listens
        log = folder / "probe" / "log"
        return f"sshd does not start: {log.read_text().strip() if log.exists() else error}"
    return f"nobody can log in to an sshd of this user: {done.stderr.strip()}" if done.returncode else ""


@pytest.fixture
def ssh_hosts(_sshd_works: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartHosts]:
    """Starts machines that only ssh leads to, each with a home, settings, PATH, keys and sshd of its own.

    ```python
    def test_something(ssh_hosts):
        hosts = ssh_hosts("gpu1", "gpu2", round_trip=0.05)      # also rate=, shell=
        store = hosts["gpu1"].home / "runs.db"                  # the default store of that machine
        Link(hosts.host("gpu1"), mirror, ssh=hosts.ssh, …)
        monkeypatch.setenv("LVMTUI_SSH", " ".join(hosts.ssh))   # for the command line: `--host gpu1`

        hosts["gpu1"].uninstall()            # no lvmtui there: the bootstrap; install(TEXT) another
        hosts["gpu1"].set_python(None)       # no Python either; or the path of another one
        hosts["gpu1"].proxy.cut()            # connections break off
        hosts["gpu1"].proxy.hold()           # half-open: nothing comes through, nobody is told; go_on()
        hosts["gpu1"].freeze()               # SIGSTOP of sshd and all that runs there; thaw()
        hosts["gpu1"].stop()                 # switched off; start()
        hosts["gpu1"].kill_agents()
        hosts["gpu1"].change_host_key()      # know_host_key(), forget_host_key(), refuse_key(), allow_key()
        hosts["gpu1"].proxy.received         # bytes that came from there, ssh's own included
    ```

    The mirrors' folder (XDG_CACHE_HOME) is a temporary one in tests that use this. Skips where no sshd runs.
    """
    if _sshd_works:
        pytest.skip(_sshd_works)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ExitStack() as stack:

        def start(*names: str, round_trip: float = 0.0, rate: float = 0.0, shell: str = "/bin/sh") -> Hosts:
            folder = tmp_path / "ssh" / names[0]
            started = start_hosts(folder, names, round_trip=round_trip, rate=rate, shell=shell)
            ssh, machines = stack.enter_context(started)
            return Hosts(tuple(ssh), machines)

        yield start
