"""What comes from the other side of a copy is not believed: names, sizes, order, rows."""

import base64
import hashlib
import json
import random
import zlib
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvmtui.audits import EVENT_KINDS
from lvmtui.errors import LvmtuiError, RemoteError, StoreError
from lvmtui.merge import snapshot
from lvmtui.remote.copies.copying import Piece, ask_for, give, hear_offer, is_safe_name
from lvmtui.remote.copies.taking import take
from lvmtui.store.copied_rows import OF_DATA, dump, survey
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from tests.remote.copies.conftest import store_at

SHA = "0" * 64


class Script:
    """A channel on whose other side stands a list of messages."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = deque(messages)
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def receive(self) -> dict[str, Any]:
        if not self.messages:
            raise RemoteError("the other side has gone")
        return self.messages.popleft()


ABOUT = {
    **{"host": "h", "store": "/x/runs.db", "state": "", "name": "p #1", "made": 1.0, "created": 2.0},
    **{"time": 3.0, "number": 1, "revision": 1, "attempt": 1},
}


def an_offer(**values: Any) -> dict[str, Any]:
    return {
        "m": "offer",
        "about": ABOUT,
        "rows": [3, SHA],
        "files": [],
        "left_out": [],
        "more": False,
        **values,
    }


@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "/", ".ssh/x", "a/.x", "a\\b", "a\nb"),
        *("a\0b", "\x1b[2J", "x" * 201, "a/" * 9 + "b", "\udc80", None, 3, "a/./b", "\u202ea"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: object) -> None:
    assert not is_safe_name(name)
    with pytest.raises(RemoteError):
        hear_offer(Script(an_offer(files=[[name, 1, SHA]])))


@pytest.mark.parametrize("name", ["run.log", "checkpoints/step-00000450.safetensors", "ä b/ü (1).json"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert is_safe_name(name)
    assert [piece.name for piece in hear_offer(Script(an_offer(files=[[name, 1, SHA]]))).files] == [name]


@pytest.mark.parametrize(
    "message",
    [
        an_offer(about=None),
        an_offer(about={**ABOUT, "made": "x"}),
        an_offer(about={**ABOUT, "number": True}),
        an_offer(about={**ABOUT, "time": 1e300}),
        an_offer(rows=[-1, SHA]),
        an_offer(rows=[1 << 60, SHA]),
        an_offer(rows=[3, "../../x"]),
        an_offer(rows=3),
        an_offer(files={"a": 1}),
        an_offer(files=[["a", 1]]),
        an_offer(files=[["a", 1, SHA], ["a/b", 1, SHA]]),
        an_offer(files=[["a", 1.5, SHA]]),
        an_offer(files=[[f"f{k}", 1, SHA] for k in range(10_001)]),
        {"m": "chunk", "name": "", "at": 0, "data": ""},
    ],
)
def test_offers_that_make_no_sense_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(RemoteError):
        hear_offer(Script(message))


def test_endless_offers_are_refused() -> None:
    endless = (an_offer(files=[[f"f{n}-{k}", 1, SHA] for k in range(1000)], more=True) for n in range(20))
    with pytest.raises(RemoteError, match="more than 10000 files"):
        hear_offer(Script(*endless))


def test_words_of_the_other_side_have_no_control_characters() -> None:
    with pytest.raises(RemoteError) as caught:
        hear_offer(Script({"m": "refused", "text": "\x1b[2Jno", "hint": "\x07"}))
    assert caught.value.message.isprintable()
    assert caught.value.hint.isprintable()
    offer = hear_offer(Script(an_offer(about={**ABOUT, "name": "\x1b]0;x\x07"}, left_out=[["\x1b", "b"], 3])))
    assert offer.about["name"].isprintable()
    assert len(offer.left_out) == 1


def a_chunk(at: int, data: bytes, name: str = "a") -> dict[str, Any]:
    return {"m": "chunk", "name": name, "at": at, "data": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "messages",
    [
        [a_chunk(0, b"12345")],
        [a_chunk(1, b"1")],
        [a_chunk(0, b"12"), a_chunk(0, b"12")],
        [a_chunk(0, b"1", name="b")],
        [a_chunk(0, b"")],
        [{"m": "chunk", "name": "a", "at": 0, "data": "§"}],
        [{"m": "chunk", "name": "a", "at": 0}],
        [{"m": "offer"}],
        [],
    ],
)
def test_parts_that_do_not_fit_are_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(RemoteError):
        list(ask_for(Script(*messages), [(Piece("a", 4, SHA), 0)]))


@pytest.mark.parametrize(
    "message",
    [
        {"m": "part", "name": "b", "at": 0},
        {"m": "part", "name": "a", "at": 5},
        {"m": "part", "name": "a", "at": -1},
        {"m": "part", "name": "a", "at": "0"},
        {"m": "part", "name": None, "at": 0},
        {"m": "got", "bytes": 10},
        {"m": "file"},
    ],
)
def test_who_gives_sends_nothing_else(message: dict[str, Any], tmp_path: Path) -> None:
    offer = hear_offer(Script(an_offer(files=[["a", 4, SHA]])))
    (tmp_path / "a").write_bytes(b"1234")
    with pytest.raises(RemoteError):
        give(Script(message), offer, lambda _: (tmp_path / "a").open("rb"))


# --- rows


def test_findings_on_data_come_along() -> None:
    assert tuple(OF_DATA) == EVENT_KINDS


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The rows of a run, line by line."""
    with store_at(tmp_path_factory.mktemp("rows")) as stored:
        run = stored.finished(0.1, 0.3)
        lines: list[bytes] = []
        dump(stored.database, run.id, lines.append)
    return lines


def taken_in(
    folder: Path, lines: list[bytes], *, state: str = "", files: dict[str, bytes] | None = None
) -> Path:
    """A store that has taken in these rows, from a side that sends just what it is asked for."""
    content = b"".join(lines)
    store = folder / "runs.db"
    pieces = files or {}
    listed = [[name, len(data), hashlib.sha256(data).hexdigest()] for name, data in pieces.items()]
    rows_piece = [len(content), hashlib.sha256(content).hexdigest()]
    offer = hear_offer(Script(an_offer(about={**ABOUT, "state": state}, rows=rows_piece, files=listed)))
    answers = []
    for name, data in {**pieces, "": content}.items():
        if data:
            answers.append(a_chunk(0, data, name))
        answers.append({"m": "file", "name": name, "sha256": ""})
    take(store, Script(*answers), offer)
    return store


def changed(lines: list[bytes], table: str, column: str, value: object) -> list[bytes]:
    """The rows with another value in the first row of a table."""
    found, columns, done = [], None, False
    for line in lines:
        item = json.loads(line)
        if isinstance(item, dict):
            columns = item.get("columns") if item.get("table") == table else None
        elif columns is not None and not done:
            item[columns.index(column)] = value
            done = True
        found.append(json.dumps(item).encode() + b"\n")
    assert done
    return found


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("run", "status", "asleep"),
        ("run", "result", "great"),
        ("run", "result", None),
        ("run", "recipe", 3),
        ("run", "created", "now"),
        ("run", "targets", "x"),
        ("run", "epoch", 1 << 70),
        ("run", "phase", None),
        ("run", "phase", "a\0b"),
        ("evaluation", "hit5", None),
        ("run", "recipe", "[1"),
        ("evaluation", "ranks", "§"),
        ("evaluation", "ranks", "AAAA"),
        ("evaluation", "ranks", base64.b64encode(b"\1" + zlib.compress(bytes(1 << 29), 9)).decode()),
        ("evaluation", "details", []),
        ("event", "severity", "dire"),
        ("metric", "step", 1.5),
        ("metric", "key", None),
        ("checkpoint", "is_best", 2),
        ("run", "created", 1e300),
        ("run", "started", -1.0),
        ("run", "step", -5),
        ("metric", "time", 1e12),
        ("metric", "step", 1 << 60),
        ("evaluation", "hit5", 1e300),
    ],
)
def test_rows_with_other_values_are_refused(
    tmp_path: Path, rows: list[bytes], table: str, column: str, value: object
) -> None:
    with pytest.raises(StoreError, match="the rows of the run cannot be read"):
        taken_in(tmp_path, changed(rows, table, column, value))
    database = Database.open(tmp_path / "runs.db")
    assert Reader(database).runs() == []
    database.close()
    assert list((tmp_path / "runs").glob("*")) == [] if (tmp_path / "runs").exists() else True


def test_texts_and_objects_are_made_harmless(tmp_path: Path, rows: list[bytes]) -> None:
    rows = changed(rows, "run", "note", "a\x1b]0;title\x07\u202eb\nc")
    rows = changed(rows, "run", "targets", {"hit5": "x", "mrr": 0.5, "a": [[[[]]]]})
    rows = changed(rows, "run", "versions", {"torch": 2, "\x1b[5mk": "v"})
    taken_in(tmp_path, changed(rows, "evaluation", "details", {"mrr_interval": 3}))
    database = Database.open(tmp_path / "runs.db")
    run = Reader(database).runs()[0]
    database.close()
    assert run.note == "a" + "b\nc"
    assert run.targets == {"mrr": 0.5}
    assert run.versions == {"torch": "2", "k": "v"}


@pytest.mark.parametrize(
    "content", [b"", b"x\n", b"[1]\n", b'{"format":99}\n', b"[" * 100_000 + b"\n", b"{}"]
)
def test_files_that_are_no_rows_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(StoreError):
        survey(tmp_path / "rows")


def test_a_run_that_goes_on_is_over_here_whatever_is_said(tmp_path: Path, rows: list[bytes]) -> None:
    lines = changed(changed(rows, "run", "status", "running"), "run", "result", None)
    database = Database.open(taken_in(tmp_path, lines, state=""))
    (run,) = Reader(database).runs()
    database.close()
    assert (run.status, run.result) == (Status.DONE, Result.STOPPED)
    assert json.loads(run.source)["state"] == "running"


def test_checkpoints_elsewhere_are_not_the_runs(tmp_path: Path, rows: list[bytes]) -> None:
    database = Database.open(taken_in(tmp_path, changed(rows, "checkpoint", "path", "/etc/passwd")))
    assert Reader(database).checkpoints(1) == []
    database.close()


def test_a_checkpoint_that_is_not_its_rows_is_refused(tmp_path: Path, rows: list[bytes]) -> None:
    with pytest.raises(StoreError, match="is not the checkpoint of its row"):
        taken_in(tmp_path, rows, files={"checkpoints/1.safetensors": b"something else"})
    assert not list((tmp_path / "runs").glob("*/*"))


VALUES = st.sampled_from(
    [None, True, 0, -1, 1 << 40, 1 << 64, 1e308, "", "x", "\x1b[2J", "running", "done", [], {}, {"a": [1]}]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), value=VALUES)
def test_whatever_rows_say_the_store_stays_readable(
    tmp_path: Path, rows: list[bytes], seed: int, value: object
) -> None:
    rng = random.Random(seed)
    lines = list(rows)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(lines))
        item = json.loads(lines[place])
        if isinstance(item, list):
            item[rng.randrange(len(item))] = value
        else:
            item[rng.choice(list(item))] = value
        lines[place] = json.dumps(item).encode() + b"\n"
    folder = tmp_path / str(rng.random())
    try:
        store = taken_in(folder, lines)
    except LvmtuiError:
        return
    database = Database.open(store)
    try:
        reader = Reader(database)
        snapshot(reader, now=1.0)
        for run in reader.runs():
            reader.evaluations(run.id)
            reader.events(run_id=run.id)
            reader.metrics(run.id)
            reader.checkpoints(run.id)
    finally:
        database.close()
