"""What the command `lvmtui` runs: the dashboard at once, anything else through the command line.

The command line knows every subcommand, and typer brings pydantic: a tenth of a second and ten megabytes
that the dashboard does without.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

DEFAULT_STORE = "runs.db"
STORE_VARIABLE = "LVMTUI_STORE"
"""Environment variable that names the store where `--store` does not."""

DUMB = frozenset({"dumb", "unknown"})
"""Values of TERM that stand for terminals that can only write line after line."""


def require_screen() -> None:
    """Refuse a terminal on which nothing can be drawn.

    Raises:
        UsageError: TERM says that it is one.
    """
    term = os.environ.get("TERM", "")
    if term in DUMB:
        from lvmtui.errors import UsageError

        raise UsageError(
            f"this terminal cannot show the dashboard: TERM is {term!r}",
            "`lvmtui --plain` writes the runs and what changes as lines; `lvmtui ls` lists them.",
        )


def dashboard_options(arguments: Sequence[str]) -> dict[str, str | bool] | None:
    """What the dashboard is to be opened with; None where something else is asked for, or nothing that can be
    told at a glance."""
    found: dict[str, str | bool] = {"store": os.environ.get(STORE_VARIABLE) or DEFAULT_STORE}
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument in {"--readonly", "--ascii"}:
            found[argument.removeprefix("--")] = True
        elif argument.startswith("--store=") and argument != "--store=":
            found["store"] = argument.removeprefix("--store=")
        elif argument == "--store" and left and left[0] and not left[0].startswith("-"):
            found["store"] = left.pop(0)
        else:
            return None
    return found


def main() -> int:
    """Run what the arguments of this process ask for.

    Returns:
        The exit code, as `lvmtui.cli.main`.
    """
    options = dashboard_options(sys.argv[1:])
    if options is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from lvmtui.cli import main as command_line

        return command_line()
    # Nothing that is made on the way to the first chart is garbage; the App switches the collector on again.
    gc.disable()
    try:
        require_screen()
        from lvmtui.true_colour import Question

        # A terminal far away answers while the program is loaded.
        colours = Question()
        try:
            from lvmtui.app import run_app
        finally:
            colours.take_answer()

        return run_app(**options)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from lvmtui.cli import report

        return report(error)
