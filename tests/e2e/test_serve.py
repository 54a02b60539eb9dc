"""The dashboard in a browser: the page, its websocket, who is let in, and what a page may do."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("textual_serve")
import aiohttp
import psutil

from lvmtui.cli import main
from lvmtui.paths import state_file
from lvmtui.serving import bound, command_line, is_loopback
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from tests.tui.stores import new_run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "it's a $(store) & more.db"
    database = Database.open(path)
    new_run(database, "phase-3").start().train(2)
    database.close()
    return path


@contextmanager
def served(store: Path, *options: str, **env: str) -> Iterator[str]:
    """A server on a free port; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lvmtui", "--store", str(store), "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **env},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stdout.read()
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=15)
        finally:
            process.kill()
            process.stdout.close()
    assert process.returncode in {0, 130}


class Page:
    """What a browser's page does: it shows what comes and sends keys."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.shown = ""

    async def press(self, keys: str) -> None:
        await self.socket.send_str(json.dumps(["stdin", keys]))

    async def until(self, condition: Callable[[str], object], what: str, seconds: float = 40.0) -> None:
        """Take what comes until it fits."""
        async with asyncio.timeout(seconds):
            while not condition(self.shown):
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", message.data.decode(errors="replace"))
                assert message.type is not aiohttp.WSMsgType.CLOSED, f"closed, waiting for {what}"


def ws(address: str, size: str = "width=120&height=36") -> str:
    return f"{address.replace('http', 'ws')}/ws?{size}"


async def test_page_and_socket_show_the_store_and_change_nothing(store: Path) -> None:
    with served(store) as address:
        async with aiohttp.ClientSession() as client:
            page = await client.get(address)
            assert page.status == 200
            text = await page.text()
            host = address.removeprefix("http://")
            assert f"ws://{host}/ws" in text
            assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
            assert (await client.get(f"{address}/static/js/textual.js")).status == 200
            async with client.ws_connect(ws(address), headers={"Origin": address}) as socket:
                shown = Page(socket)
                await shown.until(lambda text: "phase-3 #1" in text, "the run")
                await shown.press("n")  # would open the launch form
                await shown.press("D")
                await shown.press("?")
                await shown.until(lambda text: "lvmtui shows training runs" in text, "the help")
                assert "launch a run" not in shown.shown
                assert "Launch" not in shown.shown
    database = Database.open(store)
    assert [run.name for run in Reader(database).runs()] == ["phase-3 #1"]
    database.close()
    assert not state_file().exists(), "a page that may not change anything leaves no traces"


async def test_changes_are_allowed_where_that_was_asked_for(store: Path) -> None:
    with served(store, "--allow-changes") as address:
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(ws(address), headers={"Origin": address}) as socket,
        ):
            shown = Page(socket)
            await shown.until(lambda text: "phase-3 #1" in text, "the run")
            await shown.until(lambda text: "launch" in text, "the key")
            await shown.press("q")
            message = await socket.receive(timeout=20)
            while message.type is aiohttp.WSMsgType.BINARY:
                message = await socket.receive(timeout=20)
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}


async def test_an_export_is_downloaded(store: Path, tmp_path: Path) -> None:
    with served(store) as address:
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(ws(address), headers={"Origin": address}) as socket,
        ):
            shown = Page(socket)
            await shown.until(lambda text: "phase-3 #1" in text, "the run")
            await shown.press("2")
            await shown.until(lambda text: "w export" in text, "the leaderboard")
            await shown.press("w")
            await shown.until(lambda text: "enter downloads" in text, "the form")
            await shown.press("\r")
            async with asyncio.timeout(40):
                while True:
                    message = await socket.receive()
                    if message.type is aiohttp.WSMsgType.TEXT and "deliver_file_start" in message.data:
                        break
            answer = await client.get(f"{address}/download/{json.loads(message.data)[1]}")
            assert "leaderboard.md" in answer.headers["Content-Disposition"]
            assert (await answer.text()).startswith("# Leaderboard")
    assert not list(tmp_path.rglob("*.md")), "nothing is written beside the server"


async def test_no_page_outlives_a_killed_server(store: Path) -> None:
    command = [sys.executable, "-P", "-m", "lvmtui", "--store", str(store), "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(ws(found[0]), headers={"Origin": found[0]}) as socket,
        ):
            await Page(socket).until(lambda text: "phase-3 #1" in text, "the run")
            (page,) = psutil.Process(server.pid).children()
            server.kill()
            server.wait()
    async with asyncio.timeout(20):
        while psutil.pid_exists(page.pid) and page.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
async def test_other_sites_are_kept_out(store: Path, headers: dict[str, str]) -> None:
    with served(store) as address:
        async with aiohttp.ClientSession() as client:
            with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
                await client.ws_connect(ws(address), headers=headers)
            assert raised.value.status == 403
            if "Host" in headers:
                assert (await client.get(address, headers=headers)).status == 403


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--host", "0.0.0.0"], "lets other machines in"),
        (["--readonly", "serve", "--allow-changes"], "--readonly is set"),
        (["served"], "started by `lvmtui serve`"),
        (["serve", "--host", "no.such.host.invalid"], "lets other machines in"),
        (["serve", "--public", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_taken_port_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    taken = bound("127.0.0.1", 0)
    try:
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 2
    finally:
        taken.close()
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.0.7", "example.org", "::", "")))


def test_nothing_in_a_name_reaches_the_shell(tmp_path: Path) -> None:
    evil = f"{tmp_path}/x'; touch {tmp_path}/pwned; '.db"
    line = command_line(["--store", evil, "--version"])
    subprocess.run(line, shell=True, check=True, capture_output=True)
    assert not (tmp_path / "pwned").exists()
