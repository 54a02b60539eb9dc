"""Themes: one TOML file each, shipped in `themes/`, and the user's own in a folder beside the config file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmtui.format import plain

if TYPE_CHECKING:
    from textual.theme import Theme as TextualTheme

DEFAULT_THEME = "lvm-dark"

COLOURS = (
    "primary",
    "secondary",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "success",
    "warning",
    "error",
)
"""What every theme file must give."""

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_ANSI = re.compile(r"ansi_(default|(bright_)?(black|red|green|yellow|blue|magenta|cyan|white))")
_STYLES = frozenset({"none", "not", "bold", "dim", "italic", "underline", "reverse", "strike"})
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme as read from its file. Colours are `#rrggbb`; with `ansi` also `ansi_red` and the like."""

    name: str
    dark: bool
    colours: Mapping[str, str]
    """The colours named in `COLOURS`."""
    series: tuple[str, ...]
    """Colours of curves, in order."""
    variables: Mapping[str, str]
    """Further CSS variables: chart-axis, chart-level, chart-star, muted, and Textual's own."""
    description: str = ""
    ansi: bool = False
    """The terminal's own 16 colours are sent as such: what they look like is its business."""


def themes_dir() -> Path:
    """Where the shipped themes are: `lvmtui/themes` in a wheel, `themes/` in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "themes"
    return installed if installed.is_dir() else package.parent / "themes"


@cache
def _shipped() -> tuple[dict[str, Theme], tuple[str, ...]]:
    return _load_folder(themes_dir())


def load_themes(user_dir: Path | None = None) -> tuple[dict[str, Theme], list[str]]:
    """All themes by name, the user's over the shipped ones, and what is wrong with unusable files."""
    themes, problems = _shipped()
    if user_dir is None or not user_dir.is_dir():
        return dict(themes), list(problems)
    own, own_problems = _load_folder(user_dir)
    return {**themes, **own}, [*problems, *own_problems]


def _load_folder(folder: Path) -> tuple[dict[str, Theme], tuple[str, ...]]:
    themes: dict[str, Theme] = {}
    problems = []
    for path in sorted(folder.glob("*.toml")):
        try:
            theme = _read(path)
        except OSError as error:
            problems.append(f"{path.name}: cannot be read: {error.strerror}")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(f"{path.name}: not valid TOML: {plain(str(error))}")
        except ValueError as error:
            problems.append(f"{path.name}: {plain(str(error))}")
        else:
            themes[theme.name] = theme
    return themes, tuple(problems)


def _read(path: Path) -> Theme:
    """One theme file.

    Raises:
        ValueError: a key is missing, unknown or has a value that is no colour.
    """
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = set(values) - {"name", "dark", "ansi", "description", "series", "variables", *COLOURS}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
    name, dark = values.get("name", path.stem), values.get("dark")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name = {name!r}: use small letters, digits and hyphens")
    if not isinstance(dark, bool):
        raise ValueError("dark must be true or false")
    ansi = values.get("ansi", False)
    if not isinstance(ansi, bool):
        raise ValueError("ansi must be true or false")
    series = _table(values, "series").get("colours")
    if not isinstance(series, list) or not series:
        raise ValueError("[series] colours must be a list of colours")
    variables = _table(values, "variables")
    return Theme(
        name=name,
        dark=dark,
        colours={key: _colour(key, values.get(key), ansi) for key in COLOURS},
        series=tuple(_colour(f"series colour {i}", value, ansi) for i, value in enumerate(series, 1)),
        variables={str(key): _variable(str(key), value, ansi) for key, value in variables.items()},
        description=plain(str(values.get("description", ""))),
        ansi=ansi,
    )


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = values.get(key, {})
    if not isinstance(table, dict):
        raise ValueError(f"{key} must be a table")
    return table


def _colour(key: str, value: object, ansi: bool) -> str:
    if value is None:
        raise ValueError(f"{key} is missing")
    if not isinstance(value, str) or not (_HEX.fullmatch(value) or (ansi and _ANSI.fullmatch(value))):
        raise ValueError(f"{key} = {value!r} is no colour; write it as #rrggbb")
    return value


def _variable(key: str, value: object, ansi: bool) -> str:
    """A CSS variable: a colour with an optional share, or text styles where the name ends in `style`."""
    if not _NAME.fullmatch(key):
        raise ValueError(f"[variables] {key!r}: use small letters, digits and hyphens")
    words = value.split() if isinstance(value, str) else []
    if key.endswith("style"):
        if not words or not _STYLES.issuperset(words):
            raise ValueError(f"[variables] {key} = {value!r} is no text style")
    elif not words or not _is_colour(words[0], ansi) or not (len(words) == 1 or _is_share(words[1:])):
        raise ValueError(f"[variables] {key} = {value!r} is no colour; write it as #rrggbb")
    return " ".join(words)


def _is_share(words: list[str]) -> bool:
    return len(words) == 1 and re.fullmatch(r"\d{1,3}%", words[0]) is not None


def _is_colour(word: str, ansi: bool) -> bool:
    return bool(_HEX.fullmatch(word) or word in {"auto", "transparent"} or (ansi and _ANSI.fullmatch(word)))


def to_textual_theme(theme: Theme) -> TextualTheme:
    """The theme for `App.register_theme`. Series colours become `$series-1`, `$series-2`, …"""
    from textual.theme import BUILTIN_THEMES
    from textual.theme import Theme as TextualTheme

    # Of a theme in the terminal's own colours Textual derives no others: they come from its own such theme.
    base = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"].variables if theme.ansi else {}
    series = {f"series-{i}": colour for i, colour in enumerate(theme.series, 1)}
    colours = theme.colours
    return TextualTheme(
        name=theme.name,
        dark=theme.dark,
        ansi=theme.ansi,
        primary=colours["primary"],
        secondary=colours["secondary"],
        accent=colours["accent"],
        foreground=colours["foreground"],
        background=colours["background"],
        surface=colours["surface"],
        panel=colours["panel"],
        success=colours["success"],
        warning=colours["warning"],
        error=colours["error"],
        variables={**base, **series, **_scrollbar(theme), **theme.variables},
    )


def _scrollbar(theme: Theme) -> dict[str, str]:
    """A track that can be told from its surroundings; Textual's is nearly black in dark themes."""
    return {} if theme.ansi else {"scrollbar-background": theme.colours["panel"]}
