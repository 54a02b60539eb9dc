"""The user's settings and what the dashboard remembers."""

import json
from pathlib import Path

import pytest

from lvmtui import paths
from lvmtui.config import Config, UiState, ViewOptions, load_config, load_state, save_state
from lvmtui.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_no_file_means_the_defaults(file: Path) -> None:
    assert load_config(file) == Config()
    assert load_config() == Config()


def test_everything_is_read(file: Path) -> None:
    file.write_text('theme = "paper"\nascii = true\n[keys]\nlaunch = "L,f2"\n')
    config = load_config(file, commands=["launch"])
    assert config == Config(theme="paper", ascii=True, keys={"launch": "L,f2"})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('them = "x"', "unknown setting 'them'", "Did you mean theme?"),
        ("ascii = 1", "ascii = 1 is not true or false", ""),
        ('[keys]\nlaunhc = "n"', "no command 'launhc'", "Did you mean launch?"),
        ("[keys]\nlaunch = 3", "keys.launch = 3 is not a key", "For example"),
        ("[keys", "not valid TOML", "Correct it"),
    ],
)
def test_what_is_wrong_is_said(file: Path, text: str, message: str, hint: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_config(file, commands=["launch", "stop"])
    assert message in raised.value.message
    assert str(file) in raised.value.message
    assert hint in raised.value.hint


def test_state_survives_and_stores_are_kept_apart() -> None:
    options = ViewOptions(sort="name", filter="phase-3*", log_y=True, smoothing=0.6, axis="step")
    first = UiState(theme="paper", options=options, focused_run=3, marked=(3, 1))
    save_state("/a/runs.db", first)
    assert load_state("/a/runs.db") == first
    assert load_state("/b/runs.db") == UiState(theme="paper"), "the theme chosen last"
    save_state("/b/runs.db", UiState(theme="ember"))
    assert (load_state("/a/runs.db").theme, load_state("/b/runs.db").theme) == ("paper", "ember")


def test_no_list_opens_in_the_trash() -> None:
    save_state("/a/runs.db", UiState(options=ViewOptions(shelf="trash", sort="name")))
    assert load_state("/a/runs.db").options == ViewOptions(sort="name")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "not json", '{"options": 3, "stores": []}', '{"options": {"sort": "colour", "smoothing": 9}}'],
)
def test_a_damaged_memory_is_an_empty_one(text: str) -> None:
    file = paths.state_file()
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert load_state("x") == UiState()
    save_state("x", UiState(focused_run=1))
    assert load_state("x").focused_run == 1


def test_paths_make_nothing(tmp_path: Path) -> None:
    assert not paths.state_file().parent.exists()
    assert not paths.config_file().parent.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state.json"
    paths.write_atomically(file, "old")

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        paths.write_atomically(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_only_some_stores_are_remembered() -> None:
    for number in range(60):
        save_state(f"/{number}", UiState(focused_run=number))
    stores = json.loads(paths.state_file().read_text())["stores"]
    assert len(stores) == 50
    assert "/59" in stores
