"""Texts of another machine that a terminal would obey: none of them gets as far as a store here."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lvmtui.escapes import harmless
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.outbox import read_answer
from lvmtui.screens.confirm import Question
from tests.remote.mirrors import GPU1, apply, run_row

EVIL = "\x1b]52;c;UFdO\x07\x1b[5m\x9b31m\u202e\u2066\x08\x00\x7f\u2028\x85\x1bP+q\x1b\\\x1b]0;title\x07"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"a{EVIL}b", "ab"),
        ("\x1b\x1b[0m[31m", "[31m"),
        ("one\r\ntwo\tthree\rfour", "one\ntwo\tthree\nfour"),
        ("نص 👩‍🚀 ❤️", "نص 👩‍🚀 ❤️"),
    ],
)
def test_what_a_terminal_obeys_is_left_out(text: str, kept: str) -> None:
    assert harmless(text) == kept


def test_answers_and_questions_are_harmless() -> None:
    data = {f"k{EVIL}": [f"v{EVIL}", {"x": EVIL}], "run": 3}
    answer = read_answer({"ok": True, "words": f"did{EVIL} #3", "hint": EVIL, "data": data}, "gpu1")
    assert (answer.words, answer.hint) == ("did #3@gpu1", "")
    assert answer.data == {"k": ["v", {"x": ""}], "run": 3}

    question = Question(f"Delete {EVIL}x", f"one{EVIL}\n\ntwo", "Delete")
    assert (question.title, question.text) == ("Delete x", "one\n\ntwo")


def test_a_mirror_holds_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    texts = dict.fromkeys(
        ("phase", "model", "note", "tags", "error", "device", "data", "host"), f"a{EVIL}\nb"
    )
    objects = dict.fromkeys(("recipe", "overrides", "versions"), json.dumps({f"k{EVIL}": f"v{EVIL}"}))
    event = {"id": 1, "run_id": 1, "kind": f"k{EVIL}", "severity": "warn", "message": EVIL, "time": 1.0}
    mirror = Mirror.open(GPU1, tmp_path)
    apply(
        mirror,
        *run_row(1, **texts, **objects),
        {"m": "columns", "table": "event", "names": list(event)},
        {"m": "rows", "table": "event", "rows": [list(event.values())]},
        {"m": "lost", "runs": {"1": f"gone{EVIL}"}},
    )
    mirror.close()
    with closing(sqlite3.connect(mirror.path)) as connection:
        rows = [
            row
            for table in ("run", "event", "mirror_lost")
            for row in connection.execute(f"SELECT * FROM {table}")
        ]
    found = [value for row in rows for value in row if isinstance(value, str)]
    assert "a\nb" in found
    assert '{"k":"v"}' in found
    assert "gone" in found
    assert all(harmless(value) == value for value in found)
