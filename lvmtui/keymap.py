"""The user's keys from `[keys]` of the config file: what is wrong with them, and where commands meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lvmtui import commands
from lvmtui.commands import Command, Keymap

PLACES: Mapping[str, frozenset[str]] = {
    "dashboard": frozenset(
        {"app", "screen", "filter", "sort", "attention", "charts", "tabs", "runs", "list", "sideways", "zoom"}
    ),
    "leaderboard": frozenset({"app", "screen", "filter", "sort", "leaderboard", "list"}),
    "run": frozenset({"app", "screen", "charts", "tabs", "list", "sideways", "zoom", "log", "leaderboard"}),
    "compare": frozenset({"app", "screen", "charts", "tabs", "list", "sideways", "zoom", "scaling"}),
}
"""Where scopes work at the same time; a key there can do one thing only."""

_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})


def keys_as_bound(command: Command, keymap: Keymap | None = None) -> tuple[str, ...]:
    """The keys that now carry out a command, as Textual names them."""
    mapped = (keymap or {}).get(command.id)
    return tuple(_normal(key) for key in mapped.split(",")) if mapped else command.keys


def problems(keymap: Keymap) -> list[str]:
    """What is wrong with remapped keys, a sentence each: unknown keys, and keys that are said twice."""
    return [*_unknown(keymap), *_clashes(keymap)]


def _unknown(keymap: Keymap) -> Iterator[str]:
    for name in keymap:
        if name in commands.BY_ID:
            for key in keys_as_bound(commands.BY_ID[name], keymap):
                if not is_key(key):
                    yield f"keys.{name}: no terminal has a key {key!r}"


def _clashes(keymap: Keymap) -> Iterator[str]:
    taken: dict[str, list[Command]] = {}
    for command in commands.COMMANDS:
        for key in keys_as_bound(command, keymap):
            taken.setdefault(key, []).append(command)
    for key, found in taken.items():
        changed = [command for command in found if command.id in keymap]
        for command in changed:
            rivals = [other for other in found if other is not command and _meet(command, other)]
            # Of two that were both remapped, the first says it.
            rivals = [other for other in rivals if other not in changed[: changed.index(command)]]
            if rivals:
                names = " and ".join(other.id for other in rivals)
                shown = commands.show_key(key)
                yield f"keys.{command.id}: {shown} is the key of {names} too; one of them is lost"


def _meet(one: Command, other: Command) -> bool:
    """Whether both work in one place."""
    return one.scope == other.scope or any({one.scope, other.scope} <= scopes for scopes in PLACES.values())


def _normal(key: str) -> str:
    """A key as Textual names it: `?` is `question_mark`."""
    from textual.keys import _character_to_key

    key = key.strip()
    return _character_to_key(key) if len(key) == 1 else key


def is_key(key: str) -> bool:
    """Whether Textual can report such a key."""
    from textual.keys import KEY_ALIASES, Keys, _character_to_key, key_to_character

    *modifiers, base = key.split("+")
    if not _MODIFIERS.issuperset(modifiers):
        return False
    printable = {_character_to_key(chr(code)) for code in range(33, 127)}
    known = {item.value for item in Keys} | set(KEY_ALIASES) | printable
    return len(base) == 1 or base in known or key in known or key_to_character(base) is not None
