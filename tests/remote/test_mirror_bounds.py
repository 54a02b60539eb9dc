"""What a mirror refuses, leaves out and bounds: an agent may say anything."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmtui.errors import StoreError
from lvmtui.merge import snapshot
from lvmtui.remote.agent.wire import WireError
from lvmtui.remote.hosts import global_id
from lvmtui.remote.mirrors import curves as mirror_curves
from lvmtui.remote.mirrors import file as mirror_file
from lvmtui.remote.mirrors import lists as mirror_lists
from lvmtui.remote.mirrors import logs as mirror_logs
from lvmtui.remote.mirrors import room as mirror_room
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.mirrors.reader import open_mirror
from tests.remote.mirrors import GPU1, apply, count, curve, run_row, runs
from tests.remote.telling import told
from tests.tui.stores import filled


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs in every state."""
    return filled(tmp_path_factory.mktemp("there") / "runs.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hosts"


@pytest.fixture
def mirror(folder: Path) -> Iterator[Mirror]:
    opened = Mirror.open(GPU1, folder)
    opened.have()
    yield opened
    opened.close()


HOSTILE_ROWS = [
    ({"id": None}, "id is missing"),
    ({"id": 0}, "no id"),
    ({"id": -3}, "no id"),
    ({"id": 1 << 31}, "no id"),
    ({"id": True}, "no id"),
    ({"id": "1"}, "no id"),
    ({"status": "asleep"}, "no status"),
    ({"status": ["running"]}, "no status"),
    ({"created": "yesterday"}, "no number"),
    ({"created": 1e300}, "no number"),
    ({"created": -5}, "no number"),
    ({"step": 1 << 60}, "no whole number"),
    ({"step": -1}, "no whole number"),
    ({"step": 1.5}, "no whole number"),
    ({"held": "perhaps"}, "neither true nor false"),
    ({"phase": 5}, "no text"),
]


@pytest.mark.parametrize(("values", "why"), HOSTILE_ROWS, ids=lambda item: str(item)[:30])
def test_a_row_that_cannot_be_is_left_out(values: dict[str, Any], why: str, mirror: Mirror) -> None:
    apply(mirror, *run_row(2), *run_row(**values))
    assert [run.number for run in runs(mirror)] == [2]
    assert why in mirror.refused
    mirror.have()
    assert mirror.refused == ""


def test_values_that_may_be_missing_are(mirror: Mirror) -> None:
    odd = {"result": "great", "heartbeat": "now", "best_value": 1e200, "after": -1, "pid": "one"}
    apply(mirror, *run_row(**odd))
    run = runs(mirror)[0]
    assert (run.result, run.heartbeat, run.progress.best_value, run.after, run.pid) == (None,) * 5


def test_texts_and_json_are_bounded_and_harmless(mirror: Mirror) -> None:
    deep: Any = "end"
    for _ in range(40):
        deep = [deep]
    apply(
        mirror,
        *run_row(
            phase="a\ud800b" + "x" * 100_000,
            error="\x1b]0;gotcha\x07" + "e" * 1_000_000,
            recipe=json.dumps({"train": {"lr": 0.5}, "deep": deep})[:-1] + ', "big": 1e999}',
            targets='{"hit5": 0.2, "hit1": "high", "__class__": 3, "mrr": 1e400}',
            overrides='{"train.lr": 0.5, "name": "x"}',
            versions="[1, 2]",
        ),
    )
    run = runs(mirror)[0]
    assert run.phase.startswith("a?bxxx")
    assert len(run.phase) <= 500
    assert run.error is not None
    assert len(run.error) <= 1 << 15
    recipe = json.loads(run.recipe)
    assert recipe["train"] == {"lr": 0.5}
    assert recipe["big"] is None
    assert recipe["deep"] != deep
    assert (run.targets, run.versions) == ({"hit5": 0.2}, {})
    assert run.overrides == {"train.lr": "0.5", "name": "x"}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("runs/1/best.safetensors", "runs/1/best.safetensors"),
        ("/etc/passwd", "runs/1/passwd"),
        ("../../../.ssh/id", "runs/1/id"),
        ("runs/1/..", "runs/1/checkpoint"),
        ("runs/1/a b\n.safetensors", "runs/1/checkpoint"),
        ("", "runs/1/checkpoint"),
    ],
)
def test_paths_that_come_in_are_not_used(path: str, kept: str, mirror: Mirror) -> None:
    names = ["id", "run_id", "path", "epoch", "step", "time", "sha256", "size", "is_best", "is_last"]
    row = [1, 1, path, 1, 2, 3.0, "ab", 5, 1, 0]
    apply(
        mirror,
        *run_row(),
        {"m": "columns", "table": "checkpoint", "names": names},
        {"m": "all", "table": "checkpoint", "run": 1, "rows": [row, [2, 7, *row[2:]]]},
    )
    reader = open_mirror(mirror.path)
    assert [item.path for item in reader.checkpoints(global_id(mirror.slot, 1))] == [kept]
    assert reader.checkpoints(global_id(mirror.slot, 7)) == []
    reader.database.close()


NOT_KEPT_TO: list[dict[str, Any]] = [
    {"m": "rows", "table": "run", "rows": [[1]]},
    {"m": "columns", "table": "run", "names": "id"},
    {"m": "columns", "table": "run", "names": [1]},
    {"m": "change", "run": 0, "set": {}},
    {"m": "change", "run": 1, "set": []},
    {"m": "gone", "runs": 5},
    {"m": "gone", "runs": [None]},
    {"m": "runs", "ranges": [[1, 2, 3]]},
    {"m": "runs", "ranges": [[5, 6], [1, 2]]},
    {"m": "listed", "have": {"revision": "all"}},
    {"m": "listed", "have": {str(number): 1 for number in range(100)}},
    {"m": "lost", "runs": {"one": "gone"}},
    {"m": "lost", "runs": {"1": 5}},
    {"m": "curve", "run": 1, "keys": {"a": 5}},
    {"m": "curve", "run": 1, "keys": {"a": {"i": [1], "s": [], "e": [], "t": [], "v": []}}},
    {"m": "curved", "run": 1},
    {"m": "scored", "run": 1, "upto": -1},
    {"m": "log", "run": 1, "at": 0, "size": 1, "text": None},
    {"m": "log", "run": 1, "at": -1, "size": 1, "text": "x"},
    {"m": "ranks", "table": "evaluation", "column": "ranks", "id": 1, "data": "not base64!"},
    {"m": "ranks", "table": "evaluation", "column": "ranks", "id": 1, "data": "AXh4eA=="},
    {"m": "ranks", "table": "query_fact", "column": "packed", "id": "p", "name": "lane", "data": ""},
]


@pytest.mark.parametrize("message", NOT_KEPT_TO, ids=lambda message: json.dumps(message)[:60])
def test_who_does_not_keep_to_the_protocol_is_told(message: dict[str, Any], mirror: Mirror) -> None:
    mirror.wanted(1, "all")
    with pytest.raises(WireError):
        mirror.apply(message)
    assert runs(mirror) == []


def test_unknown_kinds_tables_and_columns_are_passed_over(mirror: Mirror) -> None:
    assert not any(
        apply(
            mirror,
            {"m": "dance"},
            {"m": "columns", "table": "sqlite_master", "names": ["sql"]},
            {"m": "rows", "table": "sqlite_master", "rows": [["x"]]},
            {"m": "all", "table": "run", "rows": []},
            {"m": "ranks", "table": "run", "column": "recipe", "id": 1, "data": ""},
            {"m": "devices", "samples": []},
        )
    )
    apply(mirror, *run_row(dance=5, **{"x; DROP TABLE run": 1}))
    assert [run.number for run in runs(mirror)] == [1]


def test_rows_may_lack_any_column(store: Path, mirror: Mirror) -> None:
    """What is missing has a value that can be read, or the row is left out."""
    messages = [message for message in told(store) if message["m"] in {"columns", "rows", "all"}]
    names = {message["table"]: message["names"] for message in messages if message["m"] == "columns"}
    reader = open_mirror(mirror.path)
    for table in sorted({message["table"] for message in messages if message.get("rows")}):
        rows = [message for message in messages if message["m"] != "columns" and message["table"] == table]
        for name in names[table]:
            mirror.apply({"m": "reset"})
            known = [other if other != name else "unknown" for other in names[table]]
            apply(mirror, {"m": "columns", "table": table, "names": known}, *rows)
            snapshot(reader, looked_at=reader.run_ids(), now=100.0)
    reader.database.close()


def test_a_bomb_of_ranks_is_refused(mirror: Mirror) -> None:
    import zlib
    from base64 import b64encode

    bomb = b64encode(b"\x01" + zlib.compress(bytes(64 << 20))).decode()
    with pytest.raises(WireError, match="too long"):
        mirror.apply({"m": "ranks", "table": "evaluation", "column": "ranks", "id": 1, "data": bomb})


def test_a_log_is_followed_and_bounded(mirror: Mirror) -> None:
    file = mirror.path.parent / "runs/1/run.log"

    def log(at: int, text: str, *, fresh: bool = False) -> bool:
        size = at + len(text.encode())
        return mirror.apply({"m": "log", "run": 1, "at": at, "size": size, "text": text, "fresh": fresh})

    assert log(100, "first\n", fresh=True)
    assert log(106, "second\n")
    assert not log(106, "second\n"), "another process has written it"
    assert log(110, "nd\nthird\n"), "half of it is known"
    assert file.read_text() == "first\nsecond\nnd\nthird\n"[: len("first\nsecond\n")] + "third\n"
    assert mirror.wanted(1, "all")["log"] == [119]
    assert log(500, "after a gap\n"), "what lies between was missed"
    assert file.read_text() == "after a gap\n"
    assert log(0, "another\n", fresh=True)
    assert file.read_text() == "another\n"
    at = 8
    for _ in range(8):
        text = ("x" * 99 + "\n") * 2000
        assert log(at, text)
        at += len(text)
        assert file.stat().st_size <= mirror_logs.MOST_BYTES
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_logs_of_few_runs_are_kept(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_logs, "LOGS_KEPT", 3)
    for number in range(1, 7):
        mirror.apply({"m": "log", "run": number, "at": 0, "size": 1, "text": "x", "fresh": True})
    assert sorted(path.name for path in (mirror.path.parent / "runs").iterdir()) == ["4", "5", "6"]
    assert mirror.wanted(1, "all")["log"] == [0]


def test_a_log_never_leaves_its_folder(mirror: Mirror, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = mirror.path.parent / "runs/1"
    folder.mkdir(parents=True)
    (folder / "run.log").symlink_to(victim)
    with pytest.raises(StoreError, match="cannot write"):
        mirror.apply({"m": "log", "run": 1, "at": 0, "size": 1, "text": "x", "fresh": False})
    assert victim.read_text() == "mine"


def test_a_long_history_is_thinned(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_curves, "MOST_POINTS", 3_000)
    apply(mirror, *run_row())
    apply(mirror, curve(1, 1, range(2_000)), curve(1, 2_001, range(500), key="val/hit5"))
    reader = open_mirror(mirror.path)
    assert reader.thinned(global_id(mirror.slot, 1)) == frozenset()
    apply(mirror, curve(1, 2_501, range(2_000, 4_000)))
    assert reader.thinned(global_id(mirror.slot, 1)) == {"train/loss"}
    assert count(mirror, "metric") < 3_000
    assert count(mirror, "metric", "key = 'val/hit5'") == 500
    kept = [point.step for point in reader.metrics(global_id(mirror.slot, 1), keys=["train/loss"])]
    assert (kept[0], kept[-1]) == (0, 3_999)
    reader.database.close()


def test_metrics_of_a_run_are_bounded(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_curves, "MOST_KEYS", 5)
    for place in range(9):
        apply(mirror, curve(1, 1 + 10 * place, range(10), key=f"metric-{place}"))
    assert count(mirror, "mirror_curve") == 5
    assert "more than 5 metrics" in mirror.refused


def test_runs_are_bounded(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_lists, "MOST_RUNS", 3)
    apply(mirror, *run_row(1), *run_row(2), *run_row(3), *run_row(3, step=5))
    with pytest.raises(WireError, match="more than 3 runs"):
        apply(mirror, *run_row(4))
    monkeypatch.setattr(mirror_curves, "MOST_RUNS", 3)
    with pytest.raises(WireError, match="more than 3 runs"):
        apply(mirror, *(curve(number, 10 * number, range(5)) for number in range(1, 9)))
    monkeypatch.setattr(mirror_lists, "MOST_TEXT", 50_000)
    long = [*run_row(1, error="x" * 32_000), *run_row(2, error="x" * 32_000)]
    with pytest.raises(WireError, match="text"):
        apply(mirror, *long, *long, *long)


def test_other_rows_are_bounded(store: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_lists, "EVENTS_KEPT", 20)
    monkeypatch.setattr(mirror_lists, "READINGS_KEPT", 1)
    apply(mirror, *told(store))
    assert 20 <= count(mirror, "event") < 50
    assert count(mirror, "device_sample") == 1
    monkeypatch.setitem(mirror_lists.MOST_ROWS, "promotion", ("promotion", 0))
    mirror.apply({"m": "reset"})
    with pytest.raises(WireError, match="more than 0 rows of promotion"):
        apply(mirror, *told(store))


def test_a_full_mirror_lets_go_of_curves_that_nobody_looks_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_file, "MOST_BYTES", 1 << 20)
    mirror = Mirror.open(GPU1, folder)
    mirror.have()
    for number in range(1, 20):
        mirror.wanted(number, "all")
        mirror.have()  # as if there were another conversation: nothing is looked at
        mirror.wanted(number, "all")
        apply(mirror, *run_row(number), curve(number, 1 + 3000 * number, range(3000)))
    assert mirror.path.stat().st_size <= 1 << 20
    assert count(mirror, "metric", f"run_id = {global_id(mirror.slot, 19)}") == 3000
    assert len(runs(mirror)) == 19
    more = [curve(19, first, range(first, first + 3000)) for first in range(100_000, 200_000, 3_000)]
    with pytest.raises(StoreError, match="no more room"):
        apply(mirror, *more)
    mirror.close()
    monkeypatch.setattr(mirror_room, "CROWDED_BYTES", 1 << 18)
    again = Mirror.open(GPU1, folder)
    assert count(again, "metric") == 0
    assert len(runs(again)) == 19
    again.close()
