"""Which command lines open the dashboard without the rest of the command line."""

import pytest

from lvmtui.start import dashboard_options


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {"store": "runs.db"}),
        (("--store", "a.db"), {"store": "a.db"}),
        (("--store=a=b.db", "--readonly"), {"store": "a=b.db", "readonly": True}),
        (("--ascii", "--store", "a.db"), {"store": "a.db", "ascii": True}),
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
    ],
)
def test_everything_else_is_left_to_the_command_line(arguments: tuple[str, ...]) -> None:
    assert dashboard_options(arguments) is None


def test_the_environment_names_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVMTUI_STORE", "there.db")
    assert dashboard_options(["--readonly"]) == {"store": "there.db", "readonly": True}
    assert dashboard_options(["--store", "here.db"]) == {"store": "here.db"}
