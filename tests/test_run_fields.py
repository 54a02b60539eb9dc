"""What is known of runs: how it is written and sorted."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmtui.format import MISSING
from lvmtui.run_fields import FIELDS, NAMES, Kind, columns_of, field_of, sorted_by
from lvmtui.snapshot import RunView, State
from tests.tui import snapshots as made

VIEWS = made.views()


def view(number: int, **values: object) -> RunView:
    run = replace(VIEWS[0].run, id=number, created=float(number), **values)  # type: ignore[arg-type]
    return replace(VIEWS[0], run=run, best=None)


def order(views: list[RunView], key: str, *, reverse: bool = False) -> list[int]:
    return [item.run.id for item in sorted_by(views, key, reverse)]


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, lvmtui.run_fields, lvmtui.filters;"
        "print([n for n in ('textual', 'numpy', 'sqlalchemy', 'pydantic') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("key", FIELDS)
def test_every_field_is_written_and_sorts(key: str) -> None:
    field = FIELDS[key]
    assert field.title
    assert field.help[0].islower() or field.help[0].isupper()
    assert not field.help.endswith(".")
    for item in VIEWS:
        value = field.value(item)
        assert value is None or isinstance(value, str if field.kind is Kind.TEXT else int | float)
        assert field.written(item) == field.written(item).strip()
    up, down = sorted_by(VIEWS, key), sorted_by(VIEWS, key, reverse=True)
    assert {v.run.id for v in up} == {v.run.id for v in down} == {v.run.id for v in VIEWS}


def test_names_are_unambiguous() -> None:
    assert len(NAMES) == sum(1 + len(field.aliases) for field in FIELDS.values())
    assert field_of(" Hit@5 ") is FIELDS["hit5"]
    assert field_of("context") is field_of("ctx")
    assert field_of("zzz") is None
    assert columns_of(["ctx", "zzz", "context", "name"]) == (FIELDS["ctx"], FIELDS["name"])


def test_scores_are_those_of_the_best_evaluation() -> None:
    best, last = made.evaluation(0.2, epoch=3), made.evaluation(0.1, epoch=9)
    item = replace(VIEWS[0], best=best, last=last)
    assert FIELDS["hit5"].value(item) == 0.2
    assert FIELDS["hit5"].written(item) == "20.0"
    assert FIELDS["best"].written(item) == "3"
    assert FIELDS["hit5"].written(replace(item, best=None)) == MISSING


def test_scores_dates_and_epochs_start_from_the_highest_names_from_the_lowest() -> None:
    numbers = [view(1, context=500), view(2, context=1000), view(3, context=100)]
    assert order(numbers, "ctx") == [2, 1, 3]
    assert order(numbers, "ctx", reverse=True) == [3, 1, 2]
    assert order(numbers, "started") == [3, 2, 1]
    phases = [view(1, phase="phase-10"), view(2, phase="Phase-2"), view(3, phase="phase-9")]
    assert order(phases, "phase") == [2, 3, 1], "numbers in names count by their size"
    assert order(phases, "nonsense") == order(phases, "started")


def test_what_is_not_known_is_last_both_ways_and_equals_are_newest_first() -> None:
    views = [view(1, parameters=None), view(2, parameters=5), view(3, parameters=5), view(4, parameters=None)]
    assert order(views, "params") == [3, 2, 4, 1]
    assert order(views, "params", reverse=True) == [3, 2, 4, 1]


def test_pinned_runs_are_before_all_others() -> None:
    views = [view(1, pinned=True, parameters=None), view(2, parameters=9), view(3, pinned=True, parameters=1)]
    assert order(views, "params") == [3, 1, 2]
    assert order(views, "params", reverse=True) == [3, 1, 2]


def test_states_stand_in_the_order_of_their_urgency() -> None:
    states = [State.COMPLETED, State.LOST, State.QUEUED, State.RUNNING]
    views = [replace(view(number), state=state) for number, state in enumerate(states, start=1)]
    assert order(views, "state") == [4, 3, 2, 1]


def test_outside_text_is_made_harmless() -> None:
    hostile = view(1, note="a\x1b[31mred\nb", tags="[bold]x", model="\u202egru")
    assert FIELDS["note"].written(hostile) == "ared b"
    assert FIELDS["tags"].written(hostile) == "[bold]x"
    assert FIELDS["model"].written(hostile) == "gru"


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.booleans()), max_size=12), st.booleans()
)
def test_sorting_is_a_stable_order(rows: list[tuple[int | None, bool]], reverse: bool) -> None:
    views = [view(number, parameters=value, pinned=pin) for number, (value, pin) in enumerate(rows)]
    found = sorted_by(views, "params", reverse)
    sign = 1 if reverse else -1
    keys = [
        (
            not item.run.pinned,
            item.run.parameters is None,
            sign * (item.run.parameters or 0),
            -item.run.created,
        )
        for item in found
    ]
    assert keys == sorted(keys)
    assert len(found) == len(views)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_texts_compare(first: str, second: str) -> None:
    assert len(order([view(1, note=first), view(2, note=second)], "note")) == 2


def test_fields_of_the_recipe_have_a_dot() -> None:
    lr, head, compiled = (field_of(name) for name in ("train.lr", "model.head", "train.compile"))
    assert lr is not None
    assert head is not None
    assert compiled is not None
    changed = next(item for item in VIEWS if "train.lr" in item.run.overrides)
    assert lr.value(changed) == 0.0005
    assert (lr.kind, head.kind, compiled.written(changed)) == (Kind.NUMBER, Kind.TEXT, "no")
    assert order(list(VIEWS), "train.lr", reverse=False) == order(list(VIEWS), "lr")
    assert field_of("train.nothing") is None
    assert "train.lr=0.0005" in FIELDS["changed"].written(changed)
