"""Whether a terminal shows 16 million colours is asked of the terminal itself."""

import os
import select
import subprocess
import sys
import time

import pytest

CODE = (
    "import os, termios\nfrom lvmtui.true_colour import Question\n"
    "before = termios.tcgetattr(0)\nquestion = Question()\nquestion.take_answer()\n"
    "print('COLOUR', os.environ.get('COLORTERM'), termios.tcgetattr(0) == before, 'END')"
)
SSH = {"TERM": "xterm-256color", "SSH_CONNECTION": "::1 1 ::1 2"}
YES, PALETTE, LAST = b"\x1bP1$r0;48:2::1:2:3m\x1b\\", b"\x1bP1$r0;48:5:16m\x1b\\", b"\x1b[?62;4c"


def answered(environment: dict[str, str], answer: bytes) -> tuple[str, bytes]:
    """What the program prints in a terminal that gives this answer to the question, and all that it wrote."""
    master, slave = os.openpty()
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", CODE],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, **environment, "PYTHONPATH": os.getcwd()},
        start_new_session=True,
    )
    os.close(slave)
    output, asked, deadline = b"", False, time.monotonic() + 30
    try:
        while b"END" not in output:
            assert time.monotonic() < deadline, output
            if select.select([master], [], [], 0.1)[0]:
                output += os.read(master, 4096)
            if b"\x1b[c" in output and not asked:
                asked = True
                os.write(master, answer)
    finally:
        process.wait(10)
        os.close(master)
    return output.rpartition(b"COLOUR ")[2].rpartition(b" END")[0].decode(), output


@pytest.mark.parametrize(
    ("environment", "answer", "told"),
    [
        (SSH, YES + LAST, "truecolor True"),
        (SSH, b"\x1bP1$r48;2;1;2;3m\x1b\\" + LAST, "truecolor True"),
        (SSH, PALETTE + LAST, "None True"),
        (SSH, b"\x1bP0$r\x1b\\" + LAST, "None True"),
        (SSH, LAST, "None True"),
        (SSH, b"", "None True"),
    ],
)
def test_the_terminal_is_asked_over_ssh(environment: dict[str, str], answer: bytes, told: str) -> None:
    found, output = answered(environment, answer)
    assert found == told
    assert b"$qm" in output


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"TERM": "xterm-256color"}, "None True"),
        ({**SSH, "COLORTERM": "24bit"}, "24bit True"),
        ({**SSH, "NO_COLOR": "1"}, "None True"),
        ({**SSH, "TERM": "xterm-kitty"}, "truecolor True"),
        ({**SSH, "TERM": "foot"}, "truecolor True"),
        ({**SSH, "TERM": "linux"}, "None True"),
        ({**SSH, "TERM": "tmux-256color"}, "truecolor True"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/tmux,1,0"}, "truecolor True"),
    ],
)
def test_no_terminal_is_asked_where_it_is_known(environment: dict[str, str], told: str) -> None:
    found, output = answered(environment, b"")
    assert found == told
    assert b"$q" not in output
