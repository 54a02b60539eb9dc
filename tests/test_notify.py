"""Ways out for alerts: real commands, a real web server on this machine, real escape sequences."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lvmtui.alerts.kinds import Alert, DiskLimit, Kind
from lvmtui.alerts.notify import Notifier, notification, post, run_command, sample, terminal_codes
from lvmtui.alerts.settings import ALL, AlertSettings, alert_settings
from lvmtui.config import load_config
from lvmtui.errors import UsageError
from lvmtui.store.records import Severity

STORE = "/project/runs.db"
LOST = Alert(Kind.LOST, 17, Severity.ERROR, "lost at epoch 9: process 4 is gone", 1000.0, "phase-3 #17")


@dataclass
class Server:
    """Takes posts, and answers as it is told."""

    url: str = ""
    status: int = 200
    location: str = ""
    hold: threading.Event | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            made.bodies.append(json.loads(self.rfile.read(length)))
            made.methods.append(self.command)
            if made.hold is not None:
                made.hold.wait(30)
            self.send_response(made.status)
            if made.location:
                self.send_header("Location", made.location)
            self.end_headers()

        def do_GET(self) -> None:
            made.methods.append("GET")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{listening.server_address[1]}/hook"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield made
    if made.hold is not None:
        made.hold.set()
    listening.shutdown()
    listening.server_close()
    thread.join()


def python(code: str, *arguments: str) -> AlertSettings:
    return AlertSettings(command=(sys.executable, "-c", code, *arguments))


def test_a_command_gets_the_alert_in_its_environment_and_on_its_input(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code = (
        "import json, os, sys\n"
        "mine = {k: v for k, v in os.environ.items() if k.startswith('LVMTUI_ALERT')}\n"
        "json.dump([mine, json.load(sys.stdin), sys.argv[2:]], open(sys.argv[1], 'w'))"
    )
    outcome = run_command(LOST, python(code, str(out), "$(id)", "a b"), STORE)
    assert outcome.ok, outcome
    environment, stdin, arguments = json.loads(out.read_text())
    assert environment == {
        "LVMTUI_ALERT_KIND": "lost",
        "LVMTUI_ALERT_RUN": "phase-3 #17",
        "LVMTUI_ALERT_RUN_ID": "17",
        "LVMTUI_ALERT_MESSAGE": "lost at epoch 9: process 4 is gone",
        "LVMTUI_ALERT_SEVERITY": "error",
        "LVMTUI_ALERT_STORE": STORE,
    }
    assert stdin == {**LOST.record(), "store": STORE}
    assert arguments == ["$(id)", "a b"]


def test_a_run_of_another_machine_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    there = replace(LOST, run_id=(3 << 32) + 17, run="phase-3 #17@gpu1", origin="gpu1")
    assert (there.run_ref, LOST.run_ref, replace(LOST, run_id=None).run_ref) == ("17@gpu1", "17", "")
    assert (there.record()["run_id"], there.record()["host"]) == (17, "gpu1")
    assert LOST.record()["host"] is None


def test_a_command_that_fails_says_why() -> None:
    outcome = run_command(LOST, python("import sys; sys.exit('no such \\x1b[31mroom')"), STORE)
    assert not outcome.ok
    assert outcome.words.endswith("ended with exit code 1: no such room")


def test_a_command_that_is_not_there_says_so() -> None:
    outcome = run_command(LOST, AlertSettings(command=("/no/such/program",)), STORE)
    assert (outcome.ok, outcome.words) == (False, "/no/such/program cannot be run: No such file or directory")


def test_a_command_that_does_not_read_its_input_is_no_failure() -> None:
    assert run_command(LOST, python("pass"), STORE).ok


def test_a_command_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    settings = AlertSettings(command=(sys.executable, "-c", code, str(pids)), time_limit=2.0)
    outcome = run_command(LOST, settings, STORE)
    assert not outcome.ok
    assert outcome.words.endswith("ended with exit code 124: not done within 2 s")
    child = int(pids.read_text())
    deadline = time.monotonic() + 10
    while _lives(child):
        assert time.monotonic() < deadline, "the child of the command still lives"


def _lives(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_webhook_gets_the_alert_as_json(server: Server) -> None:
    outcome = post(LOST, AlertSettings(webhook=server.url), STORE)
    assert (outcome.ok, outcome.words) == (True, "127.0.0.1 took it (200)")
    assert server.bodies == [{**LOST.record(), "store": STORE}]
    assert server.bodies[0]["text"] == "phase-3 #17: lost at epoch 9: process 4 is gone"


def test_a_webhook_that_refuses_says_so(server: Server) -> None:
    server.status = 403
    outcome = post(LOST, AlertSettings(webhook=server.url), STORE)
    assert (outcome.ok, outcome.words) == (False, "127.0.0.1 answered 403")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "/elsewhere"])
def test_redirects_are_not_followed(server: Server, location: str) -> None:
    server.status, server.location = 302, location
    outcome = post(LOST, AlertSettings(webhook=server.url), STORE)
    assert (outcome.ok, outcome.words) == (False, "127.0.0.1 answered 302; redirects are not followed")
    assert server.methods == ["POST"]


def test_a_webhook_that_does_not_answer_is_given_up(server: Server) -> None:
    server.hold = threading.Event()
    outcome = post(LOST, AlertSettings(webhook=server.url, time_limit=0.3), STORE)
    assert (outcome.ok, outcome.words) == (False, "127.0.0.1 gave no answer within 0 s")


def test_a_webhook_that_is_not_there_says_so(server: Server) -> None:
    outcome = post(LOST, AlertSettings(webhook="http://127.0.0.1:9/x"), STORE)
    assert not outcome.ok
    assert outcome.words.startswith("127.0.0.1 cannot be reached: ")


def test_failures_are_told_once_and_later_alerts_go_on(
    server: Server, wait_until: Callable[..., None]
) -> None:
    told: list[str] = []
    settings = AlertSettings(command=("/no/such/program",), webhook=server.url)
    notifier = Notifier(settings, STORE, told.append)
    for _ in range(3):
        notifier.tell(LOST)
    wait_until(lambda: len(server.bodies) == 3)
    notifier.close(10.0)
    assert told == [
        "The command for alerts failed: /no/such/program cannot be run: No such file or directory"
    ]


def test_a_slow_way_out_does_not_hold_anybody_up(server: Server) -> None:
    server.hold = threading.Event()
    notifier = Notifier(AlertSettings(webhook=server.url), STORE, lambda _: None)
    for _ in range(500):
        notifier.tell(LOST)  # returns at once: the oldest are left out
    server.hold.set()
    notifier.close()


def test_nobody_is_asked_where_nothing_is_set() -> None:
    before = threading.active_count()
    Notifier(AlertSettings(), STORE, print).tell(LOST)
    assert threading.active_count() == before


@pytest.mark.parametrize("osc", ["9", "777", "99"])
def test_a_notification_cannot_be_broken_out_of(osc: str) -> None:
    code = notification("x\x07\x1b\\\x1b]0;owned\x07\n\x9cy; z\x00" + "long " * 200, osc, in_tmux=False)
    body = code.removeprefix("\x1b]").removesuffix("\x1b\\")
    assert code == f"\x1b]{body}\x1b\\"
    assert body.isprintable()
    assert len(body) < 260


def test_within_tmux_a_notification_is_handed_on() -> None:
    assert notification("hi", "9", in_tmux=True) == "\x1bPtmux;\x1b\x1b]9;lvmtui: hi\x1b\x1b\\\x1b\\"
    assert notification("hi", "off", in_tmux=True) == ""


def test_what_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    assert terminal_codes(LOST, AlertSettings()).startswith("\a\x1b]9;lvmtui: phase-3 #17: lost")
    assert terminal_codes(LOST, AlertSettings(bell=False, osc="off")) == ""
    assert terminal_codes(sample(Kind.NEW_BEST, 1.0), AlertSettings()) == ""


def test_a_test_alert_says_that_it_is_one() -> None:
    for kind in ALL:
        assert sample(kind, 1.0).message.startswith("this is a test; ")


def test_the_section_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[alerts]\nkinds = ["lost", "disk"]\nring = []\nbell = false\nosc = 777\n'
        'command = ["notify-send", "lvmtui"]\nwebhook = "https://hooks.example.org/x?y=1"\n'
        'stall_factor = 8\ndisk_free = "5%"\ntime_limit = 3\n'
    )
    assert load_config(file).alerts == AlertSettings(
        kinds=(Kind.LOST, Kind.DISK),
        ring=(),
        bell=False,
        osc="777",
        command=("notify-send", "lvmtui"),
        webhook="https://hooks.example.org/x?y=1",
        stall_factor=8.0,
        disk_free=DiskLimit(0, 0.05),
        time_limit=3.0,
    )


@pytest.mark.parametrize(
    ("text", "limit"),
    [("2 GiB", 2 << 30), ("500MB", 500_000_000), ("0 B", 0), ("1.5 TiB", 3 << 39)],
)
def test_sizes(text: str, limit: int) -> None:
    assert alert_settings({"disk_free": text}, "f").disk_free == DiskLimit(limit)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": ["lost"]}, "Did you mean kinds?"),
        ({"kinds": ["lots"]}, "There is no kind 'lots'. Did you mean lost?"),
        ({"kinds": "lost"}, "is not a list of kinds"),
        ({"kinds": [["lost"]]}, "is not a list of kinds"),
        ({"bell": "yes"}, "is not true or false"),
        ({"osc": "8"}, "is not one of 9, 777, 99, off"),
        ({"osc": True}, "is not one of"),
        ({"command": "notify-send lvmtui"}, "There is no shell"),
        ({"command": [""]}, "is not a command"),
        ({"command": ["a\0b"]}, "is not a list of texts"),
        ({"webhook": "file:///etc/passwd"}, "is not an http or https URL"),
        ({"webhook": "ftp://example.org"}, "is not an http or https URL"),
        ({"webhook": "https://"}, "is not an http or https URL"),
        ({"webhook": "https://example.org/a b"}, "is not an http or https URL"),
        ({"webhook": "https://example.org:99999/"}, "is not an http or https URL"),
        ({"stall_factor": 1}, "is not a number from 1.5 to 1000"),
        ({"stall_factor": float("nan")}, "is not a number"),
        ({"disk_free": 5}, "is not a size"),
        ({"disk_free": "5"}, "is not a size"),
        ({"disk_free": "120%"}, "is not a share"),
        ({"time_limit": 0}, "from 1 to 300"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        alert_settings(values, "config.toml")
    assert words in str(raised.value)
    assert str(raised.value).startswith("config.toml: ")
