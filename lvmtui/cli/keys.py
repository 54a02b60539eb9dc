"""The subcommand that lists the dashboard's keys: keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lvmtui.cli.session import JsonOption, line, note, write

if TYPE_CHECKING:
    from lvmtui.commands import Keymap


def keys(as_json: JsonOption = False) -> None:
    """List the dashboard's keys as they are with your config file. Exit code 1 when two of them clash."""
    from lvmtui import commands, keymap
    from lvmtui.config import load_config

    remapped = load_config(commands=commands.BY_ID).keys
    problems = keymap.problems(remapped)
    if as_json:
        from lvmtui.export.text import to_json

        write(
            to_json(
                [
                    {
                        "command": command.id,
                        "keys": list(commands.keys_of(command, remapped)),
                        "remapped": command.id in remapped,
                        "does": command.help,
                        "group": group,
                        "works_in": command.scope,
                        "changes_runs": command.changes_outside,
                    }
                    for group, members in commands.grouped()
                    for command in members
                ]
            )
        )
    else:
        _print(remapped)
    for problem in problems:
        note(f"error: {problem}")
    if problems:
        raise typer.Exit(1)


def _print(remapped: Keymap) -> None:
    from lvmtui import commands

    rows = [
        (group, command, " ".join(commands.keys_of(command, remapped)))
        for group, members in commands.grouped()
        for command in members
    ]
    wide = max(len(keys) for _, _, keys in rows)
    longest = max(len(command.id) for _, command, _ in rows)
    before = ""
    for group, command, keys in rows:
        if group != before:
            if before:
                line()
            line(group)
            before = group
        changed = "  (remapped)" if command.id in remapped else ""
        line(f"  {keys:<{wide}}  {command.id:<{longest}}  {command.help}{changed}")
