"""What the command `lvmtui` runs: the dashboard at once, anything else through the command line.

The command line knows every subcommand, and typer brings pydantic: a tenth of a second and ten megabytes
that the dashboard does without.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import Any

from lvmtui.store.location import DEFAULT_STORE, STORE_VARIABLE

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


def dashboard_options(arguments: Sequence[str]) -> dict[str, Any] | None:
    """What the dashboard is to be opened with; None where something else is asked for, or nothing that can be
    told at a glance."""
    found: dict[str, Any] = {"store": os.environ.get(STORE_VARIABLE) or DEFAULT_STORE}
    named: list[str] = []
    left = list(arguments)
    while left:
        option, equals, value = left.pop(0).partition("=")
        if option in {"--store", "--host"}:
            value = value if equals else left.pop(0) if left else ""
            if not value or (value.startswith("-") and not equals):
                return None
            if option == "--host":
                named.append(value)
            else:
                found["store"] = value
        elif option in {"--readonly", "--ascii", "--local"} and not equals:
            found[option.removeprefix("--")] = True
        else:
            return None
    # What they mean is looked up where the settings are read.
    if found.pop("local", False):
        return None if named else {**found, "hosts": ()}
    return {**found, "hosts": tuple(named)} if named else found


def open_dashboard(store: str, *, hosts: Sequence[str] | None = None, **options: Any) -> int:
    """Load the dashboard and open it; others answer while it is loaded.

    Args:
        store: path or URL.
        hosts: watched hosts as `--host` names them; None: those of the settings.
        options: as for `lvmtui.app.run_app`.

    Returns:
        Its exit code.

    Raises:
        UsageError: nothing can be drawn on this terminal.
    """
    require_screen()
    from lvmtui.remote import early
    from lvmtui.true_colour import Question

    colours = Question()
    try:
        early.begin(hosts)
        from lvmtui.app import run_app
    finally:
        colours.take_answer()
    try:
        return run_app(store, hosts=hosts, **options)
    finally:
        early.end()


def main() -> int:
    """Run what the arguments of this process ask for.

    Returns:
        The exit code, as `lvmtui.cli.main`.
    """
    if sys.argv[1:2] == ["agent"]:
        # Whoever connects waits for it.
        from lvmtui.remote.stdio import main as agent

        return agent(sys.argv[2:])
    options = dashboard_options(sys.argv[1:])
    if options is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from lvmtui.cli import main as command_line

        return command_line()
    # Nothing that is made on the way to the first chart is garbage; the App switches the collector on again.
    gc.disable()
    try:
        return open_dashboard(**options)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from lvmtui.cli import report

        return report(error)
