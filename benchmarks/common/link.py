"""A slow link to this very machine: a real sshd on loopback behind a TCP proxy that delays each direction."""

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


class DelayProxy:
    """Hands on what it gets after a fixed delay, in a thread of its own."""

    def __init__(self, target: int, one_way_seconds: float) -> None:
        self._target = target
        self._delay = one_way_seconds
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        server = self._loop.run_until_complete(listening)
        self._loop.run_forever()
        server.close()
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
        """Cut every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * self._delay)  # what connecting costs
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        with suppress(ConnectionError, asyncio.CancelledError):  # cancelled when the link is cut
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        delivering = asyncio.ensure_future(deliver())
        data = b" "
        while data:
            data = await reader.read(65536)
            queue.put_nowait((self._loop.time() + self._delay, data))
        await delivering


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


@contextmanager
def ssh_host(folder: Path, *, round_trip: float) -> Iterator[list[str]]:
    """An sshd of its own with its own keys, behind a link of `round_trip` seconds.

    Args:
        folder: for keys and configuration; made.

    Yields:
        The beginning of a command line, `ssh -F … bench`.
    """
    folder.mkdir(mode=0o700, parents=True)
    port = free_port()
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nUsePAM no\n"
        "KbdInteractiveAuthentication no\nStrictModes no\nPermitRootLogin prohibit-password\nPrintMotd no\n"
        "AcceptEnv *\n"
    )
    with suppress(OSError):
        os.makedirs("/run/sshd", exist_ok=True)  # Debian's sshd does not start without it
    log = str(folder / "log")
    server = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", log])
    proxy = DelayProxy(port, round_trip / 2)
    try:
        wait_for_port(port)
        proxy.start()
        key = (folder / "host.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{proxy.port} {' '.join(key)}\n")
        (folder / "config").write_text(
            f"Host bench\n  HostName 127.0.0.1\n  Port {proxy.port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
            "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
            "  BatchMode yes\n  SendEnv XDG_*\n"
        )
        yield ["ssh", "-F", str(folder / "config"), "bench"]
    finally:
        proxy.stop()
        server.terminate()
        server.wait(10)
