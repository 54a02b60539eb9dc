"""Operations by name: what they do to a real store, and what they refuse."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvmtui import operations
from lvmtui.errors import IllegalTransition, LvmtuiError, RecipeError, RunNotFound, UsageError
from lvmtui.operations import Outcome
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run
from tests import tiny
from tests.tui import stores

RECIPE = """
description = "of a file on another machine"
[data]
path = "vectors"
context = 8
[model]
name = "gru"
hidden = 8
layers = 1
[train]
device = "cpu"
threads = 1
batch = 16
accumulation = 1
steps_per_epoch = 2
epochs = 1
[loss]
bank = 16
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return stores.filled(tmp_path / "runs.db")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a small vector set, whose engines are ended."""
    monkeypatch.chdir(tmp_path)
    tiny.write_vectors(tmp_path)
    yield tmp_path
    tiny.end_all()


def do(store: Path, what: str, **arguments: Any) -> Outcome:
    """Perform, with arguments as they come over the wire; what is told must fit through it too."""
    outcome = operations.perform(store, what, json.loads(json.dumps(arguments)))
    json.dumps(outcome.data, allow_nan=False)
    return outcome


def run_of(store: Path, number: int) -> Run:
    database = Database.open(store, create=False)
    try:
        return Reader(database).run(number)
    finally:
        database.close()


def test_queue_operations(store: Path) -> None:
    held = do(store, "hold", run=7)
    assert (held.words, held.run) == ("phase-2b #7 is 1 of 1 in the queue: held", 7)
    do(store, "priority", run=7, priority=3)
    do(store, "after", run=7, other=5)
    run = run_of(store, 7)
    assert (run.held, run.priority, run.after) == (True, 3, 5)
    assert do(store, "after", run=7, other=None).run == 7
    assert run_of(store, 7).after is None
    assert do(store, "stop", run=7).words == "phase-2b #7 is out of the queue"


def test_move(store: Path) -> None:
    database = Database.open(store)
    stores.new_run(database, "phase-1")
    stores.new_run(database, "phase-3")
    database.close()
    for number in (7, 8, 9):
        do(store, "hold", run=number)
    assert do(store, "move", run=9, where="first").words == "phase-3 #9 is 1 of 3 in the queue: held"
    assert do(store, "move", run=9, where="later").words == "phase-3 #9 is 2 of 3 in the queue: held"
    assert do(store, "move", run=8, where="before", other=7).words.startswith("phase-1 #8 is 1 of 3")
    with pytest.raises(UsageError, match="move: where = 'up' is not allowed"):
        do(store, "move", run=8, where="up")
    with pytest.raises(UsageError, match="other"):
        do(store, "move", run=8, where="before")


def test_shelves_and_what_takes_them_back(store: Path) -> None:
    pinned = do(store, "pin", run=4)
    assert run_of(store, 4).pinned
    do(store, "put-back", run=4, before=pinned.data["before"], names=["pinned"])
    assert not run_of(store, 4).pinned
    do(store, "archive", run=4)
    do(store, "archive", run=4, on=False)
    noted = do(store, "annotate", run=4, note="seemed slow", tags="a, b")
    assert (noted.data["before"]["note"], run_of(store, 4).note) == ("", "seemed slow")
    trashed = do(store, "trash", run=4)
    assert run_of(store, 4).trashed is not None
    do(store, "restore", run=4)
    do(store, "trash", run=4)
    do(store, "put-back", run=4, before=trashed.data["before"], names=["trashed"])
    assert run_of(store, 4).trashed is None
    do(store, "trash", run=4)
    deleted = do(store, "delete", runs=[4])
    assert deleted.words.startswith("phase-3 #4 is deleted: ")
    with pytest.raises(RunNotFound):
        run_of(store, 4)


def test_promotion(store: Path) -> None:
    gates = do(store, "gates", run=4).data["gates"]
    assert {"name", "passed", "words", "integrity"} == set(gates[0])
    outcome = do(store, "promote", run=4, alias="best-so-far", note="why not", test=False)
    assert outcome.words == "phase-3 #4 is the best-so-far now"


@pytest.mark.parametrize(
    ("what", "arguments", "said"),
    [
        ("explode", {}, "there is no operation 'explode'"),
        ("stop", {}, "stop: run = None is not allowed"),
        ("stop", {"run": "4"}, "stop: run = '4'"),
        ("stop", {"run": True}, "stop: run = True"),
        ("stop", {"run": 1 << 32}, "stop: run = "),
        ("stop", {"run": 0}, "stop: run = 0"),
        ("stop", {"run": 4, "force": True}, "stop takes no 'force'"),
        ("pin", {"run": 4, "on": 1}, "pin: on = 1"),
        ("priority", {"run": 7, "priority": 1.5}, "priority = 1.5"),
        ("priority", {"run": 7, "priority": 10**9}, "priority = 1000000000"),
        ("annotate", {"run": 4, "note": ["x"]}, "note = "),
        ("annotate", {"run": 4, "note": "x" * 30_000}, "note = "),
        ("annotate", {"run": 4, "note": "\ud800"}, "note = "),
        ("promote", {"run": 4, "alias": "../x"}, "alias = "),
        ("put-back", {"run": 4, "before": {}, "names": ["folder"]}, "names = "),
        ("put-back", {"run": 4, "before": {"folder": "/"}, "names": ["note"]}, "put-back takes no 'folder'"),
        ("put-back", {"run": 4, "before": {"trashed": "x"}, "names": ["trashed"]}, "trashed = 'x'"),
        ("delete", {"runs": []}, "runs = "),
        ("delete", {"runs": [4, "5"]}, "runs = "),
        ("launch", {}, "launch takes phases or a recipe"),
        ("launch", {"phases": ["demo"], "recipe": "x = 1"}, "launch takes phases or a recipe"),
        ("launch", {"phases": "demo"}, "phases = 'demo'"),
        ("launch", {"phases": ["/etc/passwd.toml"]}, "phases = "),
        ("launch", {"phases": ["phases/mine.toml"]}, "phases = "),
        ("launch", {"phases": ["mine.toml"]}, "phases = "),
        ("launch", {"phases": ["demo"], "seeds": 0}, "seeds = 0"),
        ("launch", {"phases": ["demo"], "overrides": {"lr": 1}}, "overrides = "),
        ("launch", {"phases": ["demo"], "device": "toaster"}, "there is no device 'toaster'"),
        ("launch", {"recipe": RECIPE, "name": "../../x"}, "name = '../../x'"),
        ("launch", {"recipe": "x" * 200_000}, "recipe = "),
    ],
)
def test_wrong_arguments_are_refused(store: Path, what: str, arguments: dict[str, Any], said: str) -> None:
    before = store.read_bytes()
    with pytest.raises(UsageError) as caught:
        operations.perform(store, what, arguments)
    assert said in caught.value.message
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = [", "not valid TOML"),
        ("[" * 50_000, "not valid TOML"),
        ("folder = '/etc'", "unknown field 'folder'"),
        ("name = '../up'", "'name'"),
        ("name = '/abs'", "'name'"),
        ("[train]\nlr = 'import os'", "train.lr"),
        ("[train]\noutput = '../x'", "unknown field 'train.output'"),
    ],
)
def test_a_recipe_is_data_and_names_no_place_to_write_to(store: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        do(store, "launch", recipe=text)
    assert said.strip("'") in str(caught.value)


def test_refusals_are_those_of_the_store(store: Path) -> None:
    with pytest.raises(RunNotFound, match="there is no run #99"):
        do(store, "stop", run=99)
    with pytest.raises(IllegalTransition, match="phase-3 #4 cannot be stopped: it is stopped"):
        do(store, "stop", run=4)
    with pytest.raises(LvmtuiError, match="was launched alone"):
        do(store, "stop-group", run=4)


def test_a_number_that_another_run_has_now(store: Path) -> None:
    """What waited for its host while the store there was made anew is about a run that is no more."""
    created = run_of(store, 4).created
    assert do(store, "pin", run=4, created=created).run == 4
    with pytest.raises(IllegalTransition, match="phase-3 #4 is not the run that was meant"):
        do(store, "trash", run=4, created=created - 60)
    assert run_of(store, 4).trashed is None


def test_launch_a_text_and_a_group(place: Path, wait_until: Any) -> None:
    """Real engines train what a text says, and its relative vector set is the one here."""
    store = place / "runs.db"
    one = do(store, "launch", recipe=RECIPE, name="mine", overrides={"train.lr": "0.01"}, note="sent")
    assert one.words == "mine #1 launched"
    group = do(
        store, "launch", phases=["demo"], overrides=dict(tiny.TINY), seeds=2, jobs=1, queue=True, held=True
    )
    assert (group.words, group.data["runs"]) == ("demo #2 to #3 are in the queue", [2, 3])
    wait_until(lambda: tiny.states()[0] == "completed", "the run")
    run = run_of(store, 1)
    assert (run.note, run.overrides) == ("sent", {"train.lr": "0.01"})
    assert json.loads(run.recipe)["data"]["path"] == str(place / "vectors")
    assert do(store, "stop-group", run=2).data["runs"] == [2, 3]
    assert do(store, "fill").words == "nothing waits that may start"


@pytest.mark.slow
def test_stop_resume_and_kill(place: Path, wait_until: Any) -> None:
    store = place / "runs.db"
    do(store, "launch", phases=["demo"], overrides=dict(tiny.ENDLESS))
    wait_until(lambda: run_of(store, 1).progress.epoch >= 1, "an epoch")
    assert do(store, "stop", run=1).words == "demo #1 was asked to stop"
    wait_until(lambda: tiny.states() == ["stopped"], "the stop")
    assert do(store, "resume", run=1).words == "demo #1 goes on from its last checkpoint"
    wait_until(lambda: run_of(store, 1).status == "running", "the resume")
    pid = run_of(store, 1).pid
    assert pid is not None
    assert os.getpgid(pid) == pid != os.getpgrp()
    assert do(store, "kill", run=1).words == "demo #1 was killed"
    assert tiny.states() == ["lost"]


def test_check_launch_makes_nothing(place: Path) -> None:
    operations.check_launch({"phases": ["demo"], "overrides": dict(tiny.TINY)})
    with pytest.raises(LvmtuiError, match="does not exist"):
        operations.check_launch({"phases": ["demo"], "overrides": {"data.path": "nowhere"}})
    assert not (place / "runs.db").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(max_size=8), items, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted({name for _, names in operations.OPERATIONS.values() for name in names}))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    what=st.sampled_from(sorted(set(operations.OPERATIONS) - {"launch", "fill", "resume"}))
    | st.text(max_size=5),
    arguments=st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=4),
)
def test_anything_is_done_or_refused_in_words(tmp_path: Path, what: str, arguments: dict[str, Any]) -> None:
    """Whatever comes in: nothing but a user's error comes out, and never a word about our own code."""
    store = tmp_path / "none" / "runs.db"
    with pytest.raises(LvmtuiError) as caught:
        operations.perform(store, what, arguments)
    assert caught.value.message
    assert not store.parent.exists()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.dictionaries(NAMES, JSON, max_size=5))
def test_any_launch_is_checked(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(LvmtuiError):
        operations.check_launch(arguments | {"overrides": {"data.path": str(tmp_path / "none")}})
