"""Whatever an agent says, its mirror can be read, and nothing but a clear refusal comes of it."""

import copy
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvmtui.errors import LvmtuiError
from lvmtui.merge import Merge
from lvmtui.remote.agent.wire import Message, WireError
from lvmtui.remote.hosts import Host
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.mirrors.reader import open_mirror
from lvmtui.run_fields import FIELDS
from lvmtui.snapshot import CloseUp, Snapshot
from tests.remote.telling import told
from tests.tui.stores import filled

NOW = 1_800_000_000.0

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 7, 2**31 - 1, 2**31, 2**32 + 1, 2**53, 2**63, 10**30, -(2**63), 0.5, -0.0,
    1e-320, 1e308, -1e308, 253402300800.0, "", "x", "\x00", "\x1b[31mred", "\ud800", "running", "done",
    "failed", "error", "audit", "test_look", "validation", "test", "..", "/etc/passwd", "a" * 70_000,
    "[" * 5_000, "1e999", "NaN", "null", "[1]", "AQ==", [], {}, [[]], [None], ["x"] * 50, {"x": {}},
    {"": None}, [1, "two", None], '{"hit5": null}', '{"lags": "x"}', '{"lags": [], "horizon": 5}',
    '{"versus": [{"baseline": {}}], "experts": {"lanes": 5}}', '{"mrr_interval": ["a", "b"]}',
    '{"train": 5, "stop": {"min_steps": "x"}, "evaluate": []}', '{"names": 5}', '{"flaws": 3}',
    '{"check": {"a": 1}, "data": [1], "advice": 5}', '{"a": ' * 30 + "1" + "}" * 30,
]  # fmt: skip
"""What is put in place of something."""


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    return told(filled(tmp_path_factory.mktemp("there") / "runs.db"))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a message; of long lists only some places."""
    found = [path]
    if isinstance(value, dict):
        for key in list(value)[:80]:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for place in sorted({*range(min(len(value), 4)), *range(max(0, len(value) - 60), len(value))}):
            found += places(value[place], (*path, place))
    return found


def mutated(message: Message, where: int, odd: Any) -> Message:
    """A message with something odd in one place."""
    changed = copy.deepcopy(message)
    path = (spots := places(message)[1:])[where % len(spots)]
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = copy.deepcopy(odd)
    if path == ("m",) and not isinstance(odd, str):
        changed["m"] = "dance"  # `wire` lets no other through
    return changed


MUTATION = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.sampled_from(ODD))


def say(mirror: Mirror, message: Message) -> None:
    try:
        mirror.apply(message)
    except WireError as error:
        said = str(error)
    else:
        return
    assert 0 < len(said) < 500


def check_readable(merge: Merge, looked_at: list[int]) -> None:
    """Everything that a dashboard reads and works out."""
    merge.read(NOW)
    merge.read_details(looked_at)
    merge.read_curves(looked_at)
    merge.read_close_up(looked_at, CloseUp("epoch", 1.0, 2.0))
    shown = merge.build(looked_at, NOW)
    assert isinstance(shown, Snapshot)
    for view in shown.runs:
        assert view.run.origin == "gpu1"
        assert view.run.folder == f"runs/{view.run.number}"
        json.loads(view.run.recipe)
        for field in FIELDS.values():
            field.written(view)
            if field.order is not None:
                field.order(view)
        (view.run.phase + (view.run.error or "") + view.run.note).encode()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutations=st.lists(MUTATION, min_size=1, max_size=25))
def test_mutated_messages_never_break_a_mirror(
    mutations: list[tuple[int, int, Any]],
    messages: list[Message],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    mirror = Mirror.open(Host("gpu1", "gpu1"), tmp_path_factory.mktemp("hosts"))
    mirror.have()
    for number in range(1, 8):
        mirror.wanted(number, "all")
    spoilt = {}
    for which, where, odd in mutations:
        place = which % len(messages)
        spoilt[place] = mutated(spoilt.get(place, messages[place]), where, odd)
    reader = open_mirror(mirror.path)
    with closing(reader.database):
        merge = Merge(reader)
        for place, message in enumerate(messages):
            say(mirror, spoilt.get(place, message))
            if place in spoilt:
                say(mirror, message)
        looked_at = [run.id for run in reader.runs()]
        check_readable(merge, looked_at)
        for message in spoilt.values():
            say(mirror, message)
        check_readable(merge, looked_at)
        check_readable(Merge(reader), looked_at)
    for number in (1, 3, 2**31 - 1):
        json.dumps(mirror.wanted(number, "all"))
    json.dumps(mirror.have())
    mirror.close()
    outside = {path.name for path in mirror.path.parent.iterdir()}
    assert outside <= {"runs.db", "runs.db-wal", "runs.db-shm", "lock", "runs"}


TABLES = (
    "run", "evaluation", "protocol", "promotion", "event", "device_sample", "control", "checkpoint",
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_every_column_may_hold_anything(table: str, messages: list[Message], tmp_path: Path) -> None:
    mirror = Mirror.open(Host("gpu1", "gpu1"), tmp_path)
    mirror.have()
    for message in messages:
        mirror.apply(message)
    said = [message for message in messages if message.get("table") == table]
    names = next(message["names"] for message in said if message["m"] == "columns")
    found = next((message for message in said if message.get("rows")), None)
    if found is None:
        found = {"m": "all", "table": table, "rows": [[1, 1, "stop", 5.0, "me", None]]}
    row = found["rows"][0]
    reader = open_mirror(mirror.path)
    merge = Merge(reader)
    looked_at = [run.id for run in reader.runs()]
    for place, name in enumerate(names):
        odd_rows = []
        for number, odd in enumerate(ODD):
            values = list(row)
            values[names.index("id")] = f"p{number}" if table == "protocol" else 1000 + number
            values[place] = odd
            odd_rows.append(values)
        say(mirror, {"m": "columns", "table": table, "names": names})
        say(mirror, {**found, "rows": [*odd_rows, *found["rows"]]})
        for values in odd_rows if table == "run" else ():
            if isinstance(values[0], int) and 0 < values[0] < 2**31:
                say(mirror, {"m": "change", "run": values[0], "set": {name: values[place]}})
        check_readable(merge, looked_at)
    check_readable(Merge(reader), looked_at)
    reader.database.close()
    mirror.close()


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KINDS = [
    "reset", "columns", "rows", "change", "all", "gone", "runs", "rewind", "listed", "curve", "curved",
    "scored", "ranks", "log", "lost",
]  # fmt: skip
FIELDS_OF_THEM = [
    "table", "names", "rows", "run", "set", "runs", "ranges", "have", "keys", "level", "thinned", "upto",
    "at", "size", "text",
]  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(KINDS),
    fields=st.dictionaries(
        st.sampled_from(FIELDS_OF_THEM),
        JSON,
    ),
)
def test_messages_of_anything_are_taken_or_refused(
    kind: str, fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "anything"
    mirror = Mirror.open(Host("gpu1", "gpu1"), folder)
    try:
        say(mirror, {**fields, "m": kind})
    except LvmtuiError as error:
        pytest.fail(f"a store error: {error}")
    finally:
        mirror.close()
