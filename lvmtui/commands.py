"""Every action of the user, once: bindings, footer, palette, help screen and README table come from here.

A scope is a place where a command works. `app` works everywhere; a screen or widget takes the others with
`BINDINGS = commands.bindings("list")` and implements `action_<name>` for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from textual.binding import Binding

GROUPS = ("Look", "Runs", "Charts", "Move", "Program")
"""Headings of the help screen, in order."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a user can do."""

    id: str
    """Name in the config file's `[keys]`."""
    keys: tuple[str, ...]
    """Default keys, as Textual names them."""
    name: str
    """One or two words for footer and palette."""
    help: str
    """What it does, as a sentence without a full stop."""
    group: str
    scope: str = "app"
    action: str = ""
    """Textual action; empty: the id with underscores."""
    changes_outside: bool = False
    """Changes runs, so it is removed by --readonly."""
    shown_in_footer: bool = False
    in_palette: bool = True
    """Offered in the palette; moving about is not."""

    @property
    def action_name(self) -> str:
        """The Textual action that carries it out."""
        return self.action or self.id.replace("-", "_")


COMMANDS: tuple[Command, ...] = (
    Command(
        "launch",
        ("n",),
        "launch",
        "launch a run of a phase",
        "Runs",
        changes_outside=True,
        shown_in_footer=True,
    ),
    Command(
        "stop",
        ("S",),
        "stop",
        "stop the run after its batch, with a checkpoint; asks first",
        "Runs",
        changes_outside=True,
        shown_in_footer=True,
    ),
    Command(
        "resume",
        ("r",),
        "resume",
        "resume the run from its last checkpoint",
        "Runs",
        changes_outside=True,
        shown_in_footer=True,
    ),
    Command(
        "promote",
        ("P",),
        "promote",
        "make the run's best checkpoint the champion; shows the gates and asks",
        "Runs",
        changes_outside=True,
        shown_in_footer=True,
    ),
    Command(
        "kill",
        ("K",),
        "kill",
        "kill the run's process at once; asks twice",
        "Runs",
        changes_outside=True,
    ),
    Command("annotate", ("e",), "note", "edit the run's note and tags", "Runs", changes_outside=True),
    Command(
        "mark",
        ("space",),
        "overlay",
        "mark the run: its curves are overlaid in the charts",
        "Runs",
        scope="list",
        shown_in_footer=True,
    ),
    Command(
        "pin",
        ("i",),
        "pin",
        "keep the run under the cursor on top of the list, or no longer",
        "Runs",
        changes_outside=True,
    ),
    Command(
        "archive",
        ("A",),
        "archive",
        "put the run under the cursor aside, or bring it back from the archive or the trash",
        "Runs",
        changes_outside=True,
    ),
    Command(
        "trash",
        ("D", "delete"),
        "delete",
        "put the run under the cursor into the trash; asks first. There: delete it for good",
        "Runs",
        changes_outside=True,
    ),
    Command(
        "undo",
        ("u",),
        "undo",
        "take back the last archive, delete, pin or note",
        "Runs",
        changes_outside=True,
    ),
    Command("hold", ("H",), "hold", "hold a queued run back, or let it go", "Runs", changes_outside=True),
    Command(
        "queue-earlier",
        ("ctrl+up",),
        "earlier",
        "move a queued run towards the front of the queue",
        "Runs",
        changes_outside=True,
    ),
    Command(
        "queue-later",
        ("ctrl+down",),
        "later",
        "move a queued run towards the end of the queue",
        "Runs",
        changes_outside=True,
    ),
    Command("clear-marks", ("x",), "clear marks", "clear all marks", "Runs"),
    Command("open", ("enter",), "open", "open the run", "Look", scope="list", shown_in_footer=True),
    Command(
        "try-host",
        ("C",),
        "connect now",
        "try at once to reach the host under the cursor (hosts)",
        "Look",
        scope="hosts",
        shown_in_footer=True,
    ),
    Command(
        "withdraw",
        ("W",),
        "withdraw",
        "take back the request under the cursor, which its host has not been sent yet (hosts)",
        "Runs",
        scope="hosts",
        changes_outside=True,
        shown_in_footer=True,
    ),
    Command("back", ("escape",), "back", "go back, or clear the filter", "Look", in_palette=False),
    Command("dashboard", ("1",), "dashboard", "show the dashboard", "Look", shown_in_footer=True),
    Command("leaderboard", ("2",), "leaderboard", "show the leaderboard", "Look", shown_in_footer=True),
    Command("compare", ("3",), "compare", "compare the marked runs", "Look", shown_in_footer=True),
    Command(
        "devices", ("4",), "devices", "show the devices and which run uses them", "Look", shown_in_footer=True
    ),
    Command("events", ("5",), "events", "show events and alerts of all runs", "Look", shown_in_footer=True),
    Command(
        "hosts",
        ("6",),
        "hosts",
        "show the watched hosts and what waits for them",
        "Look",
        shown_in_footer=True,
    ),
    Command(
        "filter",
        ("slash",),
        "filter",
        "show only runs that fit, as `phase:3 hit5>15 -status:lost`; tab switches glob and regex, right "
        "completes, up brings back earlier ones, esc clears. Among events: only those with these words",
        "Look",
        scope="filter",
    ),
    Command("sort", ("s",), "sort", "sort by the next column", "Look", scope="sort"),
    Command("reverse", ("v",), "reverse", "sort the other way round", "Look", scope="sort"),
    Command("columns", ("o",), "columns", "choose and order the columns", "Look", scope="runs"),
    Command(
        "group-runs", ("b",), "group", "group by phase, tags, recipe, host, not at all", "Look", scope="runs"
    ),
    Command("shelf", ("a",), "archived", "list archived runs, the trash, the runs", "Look", scope="runs"),
    Command(
        "attention",
        ("exclamation_mark",),
        "attention",
        "show only what needs attention: lost, failed, stopping, below its baseline. Among events: warnings "
        "and errors",
        "Look",
        scope="attention",
    ),
    Command("group", ("p",), "by phase", "group by phase (leaderboard)", "Look", scope="leaderboard"),
    Command(
        "diff",
        ("d",),
        "diff",
        "show what differs between the marked recipes (leaderboard)",
        "Look",
        scope="leaderboard",
    ),
    Command("export", ("w",), "export", "write what is shown to a file", "Look", scope="leaderboard"),
    Command("find", ("slash",), "search", "search (log of a run)", "Look", scope="log"),
    Command("log-y", ("y",), "log-y", "logarithmic y axis on and off", "Charts", scope="charts"),
    Command(
        "smooth-more", ("plus", "equals_sign"), "smoother", "smooth the curves more", "Charts", scope="charts"
    ),
    Command("smooth-less", ("minus",), "rougher", "smooth the curves less", "Charts", scope="charts"),
    Command("smooth-off", ("0",), "not smoothed", "show the curves as they are", "Charts", scope="charts"),
    Command("axis", ("X",), "x axis", "x axis: epoch, step, time", "Charts", scope="charts"),
    Command(
        "pools",
        ("c",),
        "pools",
        "scores as judged, on one pool, as published (scaling)",
        "Charts",
        scope="scaling",
        shown_in_footer=True,
    ),
    Command("log-x", ("Y",), "log-x", "logarithmic x axis on and off", "Charts", scope="charts"),
    Command(
        "clip", ("m",), "outliers", "leave outliers out of the range, or show them", "Charts", scope="charts"
    ),
    Command("bands", ("B",), "bands", "confidence bands on and off", "Charts", scope="charts"),
    Command("grid", ("f",), "grid", "charts on a page: what fits, 1x1, 2x2, … 6x6", "Charts", scope="zoom"),
    Command(
        "pan-left",
        ("less_than_sign",),
        "pan left",
        "show what is before; shift+wheel pans too",
        "Charts",
        scope="zoom",
    ),
    Command(
        "pan-right", ("greater_than_sign",), "pan right", "show what comes after", "Charts", scope="zoom"
    ),
    Command(
        "zoom-in",
        ("z",),
        "zoom in",
        "zoom in on the x axis at the cursor; the wheel: at the pointer; dragging: to a range",
        "Charts",
        scope="zoom",
    ),
    Command("zoom-out", ("Z",), "zoom out", "zoom out on the x axis", "Charts", scope="zoom"),
    Command(
        "crosshair-left",
        ("shift+left",),
        "cursor left",
        "put the cursor of all charts on the value before; a click puts it anywhere",
        "Charts",
        scope="zoom",
    ),
    Command(
        "crosshair-right",
        ("shift+right",),
        "cursor right",
        "put the cursor of all charts on the next value",
        "Charts",
        scope="zoom",
    ),
    Command("previous-page", ("pageup",), "previous page", "previous page of charts", "Charts", scope="zoom"),
    Command(
        "next-page",
        ("pagedown",),
        "next page",
        "next page of charts; so does the wheel on the line below them",
        "Charts",
        scope="zoom",
    ),
    Command("cursor-left", ("left", "h"), "left", "move left", "Move", scope="sideways", in_palette=False),
    Command(
        "cursor-right", ("right", "l"), "right", "move right", "Move", scope="sideways", in_palette=False
    ),
    Command("cursor-up", ("up", "k"), "up", "move up", "Move", scope="list", in_palette=False),
    Command("cursor-down", ("down", "j"), "down", "move down", "Move", scope="list", in_palette=False),
    Command("first", ("g", "home"), "first", "go to the first row", "Move", scope="list", in_palette=False),
    Command("last", ("G", "end"), "last", "go to the last row", "Move", scope="list", in_palette=False),
    Command(
        "previous-tab",
        ("left_square_bracket",),
        "previous tab",
        "show the previous tab",
        "Move",
        scope="tabs",
    ),
    Command("next-tab", ("right_square_bracket",), "next tab", "show the next tab", "Move", scope="tabs"),
    Command(
        "next-pane",
        ("tab",),
        "next pane",
        "go to the next pane; shift+tab: the one before",
        "Move",
        scope="screen",
        in_palette=False,
    ),
    Command(
        "copy",
        ("ctrl+y",),
        "copy",
        "copy to the terminal's clipboard: a log line, a checkpoint's path, else the run's name",
        "Look",
    ),
    Command("theme", ("t",), "theme", "next theme", "Program"),
    Command("settings", ("comma",), "settings", "change how things are shown", "Program"),
    Command(
        "palette",
        ("ctrl+p",),
        "palette",
        "search all commands",
        "Program",
        action="command_palette",
        shown_in_footer=True,
        in_palette=False,
    ),
    Command("repaint", ("ctrl+l",), "repaint", "write the whole screen again", "Program", in_palette=False),
    Command("help", ("question_mark",), "help", "show all keys", "Program", shown_in_footer=True),
    Command("quit", ("q",), "quit", "quit; runs go on", "Program"),
)
"""In the order of the footer."""

BY_ID: Mapping[str, Command] = {command.id: command for command in COMMANDS}

KEY_NAMES: Mapping[str, str] = {
    "slash": "/",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "question_mark": "?",
    "escape": "esc",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "exclamation_mark": "!",
    "full_stop": ".",
    "comma": ",",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}
"""How keys are shown, where Textual's name is not what stands on the key."""

Keymap = Mapping[str, str]
"""Command id -> comma-separated keys, from the config file."""


def bindings(*scopes: str) -> list[Binding]:
    """The bindings of some scopes, each with the command's id so that the keymap can move it."""
    return [
        Binding(
            ",".join(command.keys),
            command.action_name,
            command.name,
            show=command.shown_in_footer,
            key_display=show_key(command.keys[0]),
            tooltip=command.help,
            id=command.id,
        )
        for command in COMMANDS
        if command.scope in scopes
    ]


def show_key(key: str) -> str:
    """A key as people write it: `ctrl+p` is `^p`."""
    if key.startswith("ctrl+"):
        return f"^{show_key(key.removeprefix('ctrl+'))}"
    return KEY_NAMES.get(key, key)


def keys_of(command: Command, keymap: Keymap | None = None) -> tuple[str, ...]:
    """The keys that now carry out a command, as people write them."""
    mapped = (keymap or {}).get(command.id)
    keys = tuple(key.strip() for key in mapped.split(",")) if mapped else command.keys
    return tuple(show_key(key) for key in keys)


def available(*, readonly: bool = False) -> Iterator[Command]:
    """The commands that there are."""
    return (command for command in COMMANDS if not (readonly and command.changes_outside))


def grouped(*, readonly: bool = False) -> Iterator[tuple[str, list[Command]]]:
    """Group heading and its commands."""
    for group in GROUPS:
        members = [command for command in available(readonly=readonly) if command.group == group]
        if members:
            yield group, members


def readme_table() -> str:
    """The README's table of keys, in Markdown."""
    lines = ["| key | does |", "|---|---|"]
    for _, members in grouped():
        for command in members:
            keys = " ".join(f"`{key}`" for key in keys_of(command))
            lines.append(f"| {keys} | {command.help} |")
    return "\n".join(lines) + "\n"
