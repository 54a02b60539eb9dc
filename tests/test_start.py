"""Which command lines open the dashboard without the rest of the command line."""

import pytest

from lvmtui.errors import UsageError
from lvmtui.start import dashboard_options, require_screen


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {"store": "runs.db"}),
        (("--store", "a.db"), {"store": "a.db"}),
        (("--store=a=b.db", "--readonly"), {"store": "a=b.db", "readonly": True}),
        (("--ascii", "--store", "a.db"), {"store": "a.db", "ascii": True}),
        (("--host", "gpu1", "--host=b:c=d.db"), {"store": "runs.db", "hosts": ("gpu1", "b:c=d.db")}),
        (("--local",), {"store": "runs.db", "hosts": ()}),
    ],
)
def test_the_dashboard_is_known_by_its_options(
    arguments: tuple[str, ...], options: dict[str, object]
) -> None:
    assert dashboard_options(arguments) == options


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls",),
        ("--help",),
        ("--plain",),
        ("--store",),
        ("--store=",),
        ("--store", ""),
        ("--store", "--readonly"),
        ("--store", "a.db", "ls"),
        ("--readonli",),
        ("--readonly=1",),
        ("--host",),
        ("--host", "-x"),
        ("--host", "gpu1", "--local"),
        ("--host", "gpu1", "ls"),
    ],
)
def test_everything_else_is_left_to_the_command_line(arguments: tuple[str, ...]) -> None:
    assert dashboard_options(arguments) is None


def test_the_environment_names_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVMTUI_STORE", "there.db")
    assert dashboard_options(["--readonly"]) == {"store": "there.db", "readonly": True}
    assert dashboard_options(["--store", "here.db"]) == {"store": "here.db"}


def test_a_terminal_that_cannot_draw_is_told_of_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for term in ("dumb", "unknown"):
        monkeypatch.setenv("TERM", term)
        with pytest.raises(UsageError) as raised:
            require_screen()
        assert repr(term) in raised.value.message
        assert "--plain" in raised.value.hint
    for term in ("xterm-256color", "screen", ""):
        monkeypatch.setenv("TERM", term)
        require_screen()
