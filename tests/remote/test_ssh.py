"""How ssh is called, and what it means when it fails."""

import shlex
import subprocess

import pytest

from lvmtui.errors import RemoteError, UsageError
from lvmtui.remote import ssh
from lvmtui.remote.bootstrap import REMOTE_COMMAND
from lvmtui.remote.hosts import Host
from lvmtui.remote.ssh import Step

GPU = Host("gpu1", "me@gpu1")


def test_the_command_is_a_constant_and_asks_nothing():
    words = ssh.command_line(GPU)
    assert words[0] == "ssh"
    assert words[-3:] == ["--", "me@gpu1", REMOTE_COMMAND]
    assert {"-T", "-a", "-x", "-oBatchMode=yes", "-oClearAllForwardings=yes", "-oRemoteCommand=none"} <= {
        *words
    }
    other = ssh.command_line(Host("other", "ssh://you@other:2222", "/data/$(reboot)/runs.db"))
    assert other[-1] == REMOTE_COMMAND  # neither host nor store is part of it


def test_the_users_own_ssh_and_command():
    host = Host("gpu1", "gpu1", command=("~/my venv/bin/lvmtui", "--flag", "$(reboot)"))
    words = ssh.command_line(host, ["ssh", "-F", "file"])
    assert words[:3] == ["ssh", "-F", "file"]
    assert shlex.split(words[-1]) == ["my venv/bin/lvmtui", "--flag", "$(reboot)", "agent", "--stdio"]


@pytest.mark.parametrize(
    "destination",
    ["-oProxyCommand=touch x", "me@-oProxyCommand=x", "ssh://-x", "a b", "a\nb", "", "$(x)", "a;b"],
)
def test_what_ssh_would_take_for_something_else_is_refused(destination):
    with pytest.raises(UsageError):
        ssh.command_line(Host("bad", destination))


def test_options_are_known_to_this_ssh():
    words = [*ssh.command_line(Host("h", "h"))]
    done = subprocess.run([words[0], "-G", *words[1:-1]], capture_output=True, text=True, check=True)
    settings = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert settings["batchmode"] == "yes"
    assert settings["forwardagent"] == "no"
    assert settings["requesttty"] == "false"
    assert settings["clearallforwardings"] == "yes"


def test_a_missing_ssh_is_said():
    with pytest.raises(RemoteError, match="could not be started") as caught:
        ssh.start(["/nowhere/ssh"])
    assert "ssh_command" in caught.value.hint


FAILURES = [
    ("ssh: Could not resolve hostname gpu1: Name or service not known", 255, Step.NAME, "name gpu1"),
    (
        "ssh: Could not resolve hostname gpu1: Temporary failure in name resolution",
        255,
        Step.PORT,
        "looked up",
    ),
    ("ssh: connect to host gpu1 port 22: Connection refused", 255, Step.PORT, "refuses"),
    ("ssh: connect to host gpu1 port 22: Connection timed out", 255, Step.PORT, "does not answer"),
    ("ssh: connect to host gpu1 port 22: Operation timed out", 255, Step.PORT, "does not answer"),
    ("Connection timed out during banner exchange", 255, Step.PORT, "does not answer"),
    ("ssh: connect to host gpu1 port 22: No route to host", 255, Step.PORT, "No route to host"),
    (
        "kex_exchange_identification: Connection closed by remote host\r\n",
        255,
        Step.PORT,
        "closes the connection",
    ),
    ("Connection closed by 10.0.0.1 port 22", 255, Step.PORT, "closes the connection"),
    (
        "channel 0: open failed: connect failed: open failed\nstdio forwarding failed",
        255,
        Step.PORT,
        "blocked",
    ),
    (
        "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
        255,
        Step.PORT,
        "cipher",
    ),
    (
        "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@\nHost key verification failed.",
        255,
        Step.HOST_KEY,
        "has changed",
    ),
    ("Host key verification failed.", 255, Step.HOST_KEY, "not known"),
    (
        "No ED25519 host key is known for gpu1 and you have requested strict checking.",
        255,
        Step.HOST_KEY,
        "not known",
    ),
    ("me@gpu1: Permission denied (publickey,password).", 255, Step.KEY, "password"),
    ("me@gpu1: Permission denied (publickey).", 255, Step.KEY, "no key of yours"),
    ("Received disconnect from 1.2.3.4 port 22:2: Too many authentication failures", 255, Step.KEY, "no key"),
    ("This account is currently not available.", 1, Step.KEY, "log in"),
    (
        "/home/me/.ssh/config: line 3: Bad configuration option: foo",
        255,
        Step.SSH,
        "Bad configuration option: foo",
    ),
    ("lvmtui-needs-python: 3.6.8", 127, Step.PYTHON, "3.6.8"),
    ("lvmtui-needs-python: none", 127, Step.PYTHON, "neither"),
    ("Error: No such command 'agent'.", 2, Step.LVMTUI, "too old"),
    ("bash: line 1: /opt/lvmtui: No such file or directory", 127, Step.LVMTUI, "/opt/lvmtui"),
    ("sh: 1: nonsense: not found", 127, Step.LVMTUI, "nonsense"),
    ("Connection to gpu1 closed by remote host.", 255, Step.PORT, "broke off"),
    ("client_loop: send disconnect: Broken pipe", 255, Step.PORT, "broke off"),
    ("something unheard of", 255, Step.PORT, "something unheard of"),
    ("", 255, Step.PORT, "said nothing"),
    ("", -9, Step.PORT, "signal 9"),
    ("Traceback:\nValueError: x", 1, Step.LVMTUI, "code 1: ValueError: x"),
    ("", 0, Step.LVMTUI, "code 0"),
]


@pytest.mark.parametrize(("said", "code", "step", "words"), FAILURES)
def test_failures_are_explained(said, code, step, words):
    cause = ssh.diagnose(said.encode(), code, GPU)
    assert cause.step is step
    assert words in cause.reason
    assert "{" not in cause.reason + cause.hint
    assert ssh.explain(said, code, GPU) == (cause.reason, cause.hint)


def test_what_the_other_side_writes_cannot_do_harm():
    said = b"bash: \x1b]0;owned\x07\x1b[31m{0} {host} {__class__}\xff: command not found"
    cause = ssh.diagnose(said, 127, GPU)
    assert cause.step is Step.LVMTUI
    assert (cause.reason + cause.hint).isprintable()
    assert len(ssh.diagnose(b"\n".join([b"x" * 10_000] * 10), 255, GPU).reason) < 300
