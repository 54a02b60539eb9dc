"""Other machines on this very machine: real sshds on loopback, each with its own keys, home and programs,
behind proxies that delay, slow down, hold up and cut what goes through them."""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""

_PIECE = 1 << 16


class DelayProxy:
    """Hands on what it gets after a fixed delay, in a thread of its own."""

    def __init__(self, target: int, one_way_seconds: float = 0.0, *, rate: float = 0.0) -> None:
        """
        Args:
            target: port to hand on to.
            one_way_seconds: delay of each direction.
            rate: bytes a second of each connection in each direction; 0: as many as there are.
        """
        self._target = target
        self._delay = one_way_seconds
        self._rate = rate
        self.port = free_port()
        self.sent = 0
        """Bytes that went to the target."""
        self.received = 0
        """Bytes that came from the target."""
        self.connections = 0
        """How many there were."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._server = self._loop.run_until_complete(listening)
        self._loop.run_forever()
        self._server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        wait_for_port(self.port)

    def stop(self) -> None:
        """Cut every connection and refuse others."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
        elif not self._loop.is_closed():  # it was never started
            self._loop.close()

    def cut(self) -> None:
        """Cut every connection; new ones are taken."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def hold(self) -> None:
        """Let nothing through any more, and tell nobody; new connections are taken and hang as well."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def go_on(self) -> None:
        """Let everything through again that was held up."""
        self._loop.call_soon_threadsafe(self._flows.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(2 * self._delay)  # what connecting costs
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        with suppress(ConnectionError, asyncio.CancelledError):  # cancelled when the link is cut
            await asyncio.gather(self._pump(reader, far_writer, 1), self._pump(far_reader, writer, 0))
        self._open -= {writer, far_writer}
        for end in (writer, far_writer):
            end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: int) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            free = 0.0
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, max(due, free) - self._loop.time()))
                await self._flows.wait()
                if not data:
                    with suppress(OSError):
                        writer.write_eof()
                    return
                if self._rate:
                    free = max(self._loop.time(), free) + len(data) / self._rate
                writer.write(data)
                await writer.drain()
                self.sent += up * len(data)
                self.received += (1 - up) * len(data)

        delivering = asyncio.ensure_future(deliver())
        data = b" "
        try:
            while data:
                data = await reader.read(_PIECE)
                queue.put_nowait((self._loop.time() + self._delay, data))
            await delivering
        finally:
            delivering.cancel()


def free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10.0) -> None:
    """Wait until somebody listens.

    Raises:
        TimeoutError: nobody does.
    """
    deadline = time.monotonic() + seconds
    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens on port {port}")
        time.sleep(0.02)


class SshHost:
    """A machine that ssh reaches. `with` starts and ends it."""

    def __init__(
        self,
        folder: Path,
        name: str = "bench",
        *,
        round_trip: float = 0.0,
        rate: float = 0.0,
        own_home: bool = True,
        shell: str = "/bin/sh",
    ) -> None:
        """
        Args:
            folder: for keys, configuration and the home folder; made.
            name: the alias in the ssh settings.
            round_trip: of the link to it, in seconds.
            rate: bytes a second of the link; 0: as many as there are.
            own_home: whether logging in ends in a home of its own, with its own programs and settings; else
                commands are run as this machine's user has them.
            shell: what runs the commands there.
        """
        self.folder, self.name, self._shell = folder, name, shell
        folder.mkdir(mode=0o700, parents=True)
        self.home = folder / "home"
        """The login folder."""
        self.programs = folder / "bin"
        """Comes first in its PATH."""
        self._own_home = own_home
        self._port = free_port()
        self.proxy = DelayProxy(self._port, round_trip / 2, rate=rate)
        self._server: subprocess.Popen[bytes] | None = None
        self.config = folder / "config"
        """Settings of ssh with its alias in it."""

    @property
    def ssh(self) -> list[str]:
        """The beginning of a command line that runs something there."""
        return ["ssh", "-F", str(self.config), self.name]

    def __enter__(self) -> SshHost:
        try:
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _set_up(self) -> None:
        for folder in (self.home, self.programs):
            folder.mkdir()
        self.make_key("host")
        self.make_key("user")
        self.allow_key()
        if self._own_home:
            self._write_enter()
            self.install()
        self._write_config()
        self.start()
        self.proxy.start()
        self.know_host_key()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.proxy.stop()
        for process in self._left_over():
            with suppress(psutil.Error):
                process.kill()

    # --- what is there

    def install(self, script: str | None = None) -> None:
        """Make an `lvmtui` there.

        Args:
            script: text of a program; None: the one of this Python.
        """
        text = script or f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m lvmtui "$@"\n'
        self._program("lvmtui", text)

    def uninstall(self) -> None:
        """Take `lvmtui` away."""
        (self.programs / "lvmtui").unlink(missing_ok=True)

    def set_python(self, executable: str | None) -> None:
        """Have `python3` there be something else; None: there is none."""
        (self.programs / "python3").unlink(missing_ok=True)
        if executable:
            self._program("python3", f'#!/bin/sh\nexec {shlex.quote(executable)} "$@"\n')

    def _program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def _write_enter(self) -> None:
        """What every login runs: another machine's home, PATH and shell."""
        for tool in ("sh", "env", "cat", "true", "sleep", "kill", "ls", "dash", "bash"):
            found = shutil.which(tool)
            if found:
                (self.programs / tool).symlink_to(found)
        base = Path(sys.base_prefix) / "bin" / "python3"
        self.set_python(str(base))
        home, programs = shlex.quote(str(self.home)), shlex.quote(str(self.programs))
        gone = "XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_RUNTIME_DIR"
        script = (
            f"#!/bin/sh\nunset {gone} LVMTUI_STORE LVMTUI_SSH PYTHONPATH VIRTUAL_ENV\n"
            f"HOME={home} PATH={programs} SHELL={self._shell} OMP_NUM_THREADS=1\n"
            "export HOME PATH SHELL OMP_NUM_THREADS\ncd\n"
            f'if [ -n "$SSH_ORIGINAL_COMMAND" ]; then exec {self._shell} -c "$SSH_ORIGINAL_COMMAND"; fi\n'
            f"exec {self._shell}\n"
        )
        self._enter.write_text(script)
        self._enter.chmod(0o755)

    @property
    def _enter(self) -> Path:
        return self.folder / "enter"

    # --- keys

    def make_key(self, name: str) -> None:
        """Make a key anew: `host`, as if the machine was set up again, or `user`."""
        path = self.folder / name
        for old in (path, path.with_suffix(".pub")):
            old.unlink(missing_ok=True)
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(words, check=True)

    def know_host_key(self) -> None:
        """Have the user know the key that the machine has now."""
        kind, key = (self.folder / "host.pub").read_text().split()[:2]
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.proxy.port} {kind} {key}\n")

    def forget_host_key(self) -> None:
        """Have the user not know the machine's key."""
        (self.folder / "known_hosts").write_text("")

    def change_host_key(self) -> None:
        """Set the machine up anew, with another key."""
        self.stop()
        self.make_key("host")
        self.start()

    def allow_key(self) -> None:
        """Let the user's key in."""
        forced = f'command="{self._enter}" ' if self._own_home else ""
        (self.folder / "authorized_keys").write_text(forced + (self.folder / "user.pub").read_text())

    def refuse_key(self) -> None:
        """Let no key in."""
        (self.folder / "authorized_keys").write_text("")

    # --- the server

    def start(self) -> None:
        """Start its sshd."""
        with suppress(OSError):
            os.makedirs("/run/sshd", exist_ok=True)  # Debian's sshd does not start without it
        log = str(self.folder / "log")
        self._server = subprocess.Popen([SSHD, "-D", "-f", str(self.folder / "sshd_config"), "-E", log])
        wait_for_port(self._port)

    def stop(self) -> None:
        """End its sshd with everything that runs there: new connections are refused."""
        if self._server is None:
            return
        for process in reversed([psutil.Process(self._server.pid), *self.processes()]):
            with suppress(psutil.Error):
                process.kill()
        self._server.wait(10)
        self._server = None

    def freeze(self) -> None:
        """Stop its sshd and all that runs there in its tracks: connections hang."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._server is not None
        for process in [psutil.Process(self._server.pid), *self.processes()]:
            with suppress(psutil.Error):
                process.send_signal(number)

    def processes(self) -> list[psutil.Process]:
        """All that runs there by way of ssh, sshd's own included."""
        with suppress(psutil.Error):
            if self._server is not None:
                return list(psutil.Process(self._server.pid).children(recursive=True))
        return []

    def _left_over(self) -> list[psutil.Process]:
        """What was started there and does not end with its connection, or has outlived it on purpose."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(str(self.folder) in word for word in process.cmdline()) and process.pid != os.getpid():
                    found.append(process)
        return found

    def agents(self) -> list[psutil.Process]:
        """The agents that run there."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                words = process.cmdline()
                if (
                    words
                    and "python" in words[0]
                    and ("agent" in words or any("base64" in word for word in words))
                ):
                    found.append(process)
        return found

    def kill_agents(self) -> None:
        """Kill the agents that run there."""
        for process in self.agents():
            with suppress(psutil.Error):
                process.kill()

    def _write_config(self) -> None:
        folder = self.folder
        penalties = "PerSourcePenalties no\n" if _knows_penalties() else ""
        (folder / "sshd_config").write_text(
            f"Port {self._port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nUsePAM no\n"
            "KbdInteractiveAuthentication no\nStrictModes no\nPermitRootLogin prohibit-password\n"
            f"PrintMotd no\nAcceptEnv *\nMaxStartups 100\n{penalties}"
        )
        self.config.write_text(
            f"Host {self.name}\n  HostName 127.0.0.1\n  Port {self.proxy.port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
            "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
            "  BatchMode yes\n" + ("" if self._own_home else "  SendEnv XDG_*\n")
        )


@cache
def _knows_penalties() -> bool:
    """Whether this sshd would keep out who fails too often."""
    words = [SSHD, "-t", "-f", "/dev/null", "-o", "PerSourcePenalties=no"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return "Bad configuration option" not in done.stdout


@contextmanager
def ssh_host(folder: Path, *, round_trip: float) -> Iterator[list[str]]:
    """An sshd of its own with its own keys, behind a link of `round_trip` seconds; commands run as this
    machine's user, in his home.

    Args:
        folder: for keys and configuration; made.

    Yields:
        The beginning of a command line, `ssh -F … bench`.
    """
    with SshHost(folder, round_trip=round_trip, own_home=False) as host:
        yield host.ssh


@contextmanager
def ssh_hosts(
    folder: Path, names: Sequence[str], *, round_trip: float = 0.0, rate: float = 0.0, shell: str = "/bin/sh"
) -> Iterator[tuple[list[str], dict[str, SshHost]]]:
    """Several machines.

    Args:
        folder: for everything of them; made.
        names: the aliases of the machines.
        round_trip: of the link to each, in seconds.
        rate: bytes a second of each link; 0: as many as there are.
        shell: what runs the commands there.

    Yields:
        How ssh is called to reach all of them (`ssh -F FILE`), and the machines by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        hosts = {}
        for name in names:
            host = SshHost(folder / name, name, round_trip=round_trip, rate=rate, shell=shell)
            hosts[name] = stack.enter_context(host)
        settings = folder / "ssh_config"
        settings.write_text("".join(host.config.read_text() for host in hosts.values()))
        yield ["ssh", "-F", str(settings)], hosts
