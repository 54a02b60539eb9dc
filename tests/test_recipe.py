"""Recipes: found by name, overridden, and refused with the field, the range and the nearest right name."""

from pathlib import Path

import pytest

from lvmtui import recipe
from lvmtui.errors import RecipeError

BASE = {"name": "mine"}


def refused(values: dict[str, object], *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as raised:
        recipe.build(values, recipe.parse_overrides(overrides))
    return raised.value


def test_overrides_are_typed_and_may_leave_out_the_section() -> None:
    built = recipe.build(
        BASE,
        recipe.parse_overrides(
            [
                "lr=5e-4",
                "data=sets/wiki",
                "batch = 16",
                "within_document=yes",
                "targets.hit5=0.2",
                "head=delta",
            ]
        ),
    )
    assert (built.train.lr, built.data.path, built.train.batch) == (5e-4, "sets/wiki", 16)
    assert (built.data.within_document, built.targets.hit5, built.model.head) == (True, 0.2, "delta")
    assert built.target_scores() == {"hit5": 0.2}


def test_an_optional_field_can_be_unset() -> None:
    built = recipe.build({**BASE, "targets": {"hit5": 0.2}}, {"targets.hit5": "none"})
    assert built.target_scores() == {}


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("lrr=1", "no field 'lrr'", "Did you mean train.lr?"),
        ("learning_rate=1", "no field 'learning_rate'", "Did you mean train.lr?"),
        ("train.batch_size=1", "no field 'train.batch_size'", "Did you mean train.batch?"),
        ("name=gru", "'name' is in several sections", "model.name or loss.name"),
        ("lr=30", "train.lr = 30.0 is not allowed", "0.0 < number <= 10.0"),
        ("lr=nan", "train.lr", "number"),
        ("batch=many", "train.batch = 'many' is not allowed", "1 <= integer <= 65536"),
        ("batch=1.5", "train.batch = '1.5' is not allowed", "integer"),
        ("model.name=gruu", "model.name = 'gruu' is not allowed", "Did you mean gru?"),
        ("within_document=perhaps", "data.within_document", "true | false"),
        ("hit5=59", "targets.hit5 = 59.0 is not allowed", "0.0 <= number <= 1.0"),
        ("lr", "'lr' is not of the form key=value", "-o train.lr="),
        ("=3", "not of the form key=value", ""),
    ],
)
def test_wrong_overrides_are_explained(override: str, message: str, hint: str) -> None:
    error = refused(BASE, override)
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({**BASE, "train": {"learning_rate": 1}}, "unknown field 'train.learning_rate'", "train.lr?"),
        ({**BASE, "trian": {"lr": 1}}, "unknown field 'trian'", "Did you mean train?"),
        ({**BASE, "train": 5}, "train = 5 is not allowed", "dictionary"),
        ({}, "'name' is missing", "name = "),
        ({"name": "../evil"}, "name = '../evil' is not allowed", ""),
        (
            {**BASE, "loss": {"name": "published"}, "train": {"batch": 1}},
            "needs train.batch of at least 2",
            "",
        ),
        (
            {**BASE, "evaluate": {"protocol": "window-v0"}, "data": {"within_document": True}},
            "window-v0 needs data.within_document = false",
            "",
        ),
    ],
)
def test_wrong_files_are_explained(values: dict[str, object], message: str, hint: str) -> None:
    error = refused(values)
    assert message in error.message
    assert hint in error.hint


def test_every_field_says_what_it_is_and_what_it_takes() -> None:
    for name in recipe.field_names():
        assert recipe.field_info(name).description, name
        assert recipe.allowed(name) != "value", name


def test_a_recipe_survives_the_store() -> None:
    built = recipe.build(BASE, recipe.parse_overrides(["lr=0.1"]))
    assert recipe.from_json(built.to_json()) == built
    with pytest.raises(RecipeError, match="the stored recipe"):
        recipe.from_json('{"name": "x", "future": 1}')


def test_seeds_of_one_recipe_share_its_hash() -> None:
    first, second, other = (
        recipe.build(BASE, recipe.parse_overrides([item])) for item in ("seed=1", "seed=2", "lr=0.1")
    )
    assert first.hash == second.hash != other.hash
    assert recipe.differences(first, other) == {"train.lr": ("0.0001", "0.1"), "train.seed": ("1", "0")}


def test_a_projects_own_phases_win_and_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "phases").mkdir()
    (tmp_path / "phases" / "demo.toml").write_text('description = "ours"\n')
    (tmp_path / "phases" / "new.toml").write_text("[train]\nlr = 0.01\n")
    assert recipe.load("demo").description == "ours"
    assert recipe.load("new").train.lr == 0.01
    assert {"new", "phase-1"} <= set(recipe.recipe_files())


def test_unknown_and_broken_phases_are_explained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no phase 'phase-11'") as raised:
        recipe.load("phase-11")
    assert "Did you mean phase-1?" in raised.value.hint
    broken = tmp_path / "x.toml"
    broken.write_text("lr = = 3")
    with pytest.raises(RecipeError, match="not valid TOML"):
        recipe.load(str(broken))
    with pytest.raises(RecipeError, match="cannot read"):
        recipe.load(str(tmp_path / "none.toml"))
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="not valid TOML"):
        recipe.load(str(broken))


def test_compilation_and_random_lengths_exclude_each_other() -> None:
    with pytest.raises(RecipeError, match="compiled anew"):
        recipe.build({"name": "x", "train": {"compile": True, "min_context": 10}})
