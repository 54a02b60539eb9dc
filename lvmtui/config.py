"""The user's settings (TOML, only read) and what the dashboard remembers (JSON, read and written)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lvmtui.alerts.settings import AlertSettings, alert_settings
from lvmtui.errors import UsageError, did_you_mean
from lvmtui.paths import config_file, state_file, write_atomically
from lvmtui.remote.hosts import Host, hosts_of, slot_of, words_of

AXES = ("epoch", "step", "time")
"""What a chart's x axis can show."""

SMOOTHING = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98)
"""Weights of the past in the exponential smoothing, from none to most."""

LIST_SHARES = tuple(round(0.2 + 0.05 * step, 2) for step in range(11))
"""Shares of the dashboard's width that the settings offer for the list of runs."""

REMEMBERED_STORES = 50
"""Stores whose cursor and marks are remembered."""


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """How runs and curves are shown; remembered for each store."""

    sort: str = "started"
    """Key of the field that runs are sorted by (`lvmtui.run_fields`)."""
    reverse: bool = False
    """Against the field's usual direction."""
    columns: tuple[str, ...] = ()
    """Keys of the fields shown in the list of runs, in order; empty: what fits."""
    group: str = ""
    """Runs are listed in groups: by `phase`, `tags` or `recipe`; empty: not."""
    shelf: str = "runs"
    """Which runs are listed: `runs`, `archived` or `trash`."""
    filter: str = ""
    """Only runs that fit (`lvmtui.filters`); empty: all."""
    filter_is_regex: bool = False
    """Texts in the filter are regular expressions, not globs."""
    filter_history: tuple[str, ...] = ()
    """Filters that were used, the newest last."""
    attention: bool = False
    """Only runs that need attention."""
    log_y: bool = False
    log_x: bool = False
    smoothing: float = 0.0
    """Weight of the past in the exponential smoothing, 0 to 1."""
    axis: str = AXES[0]
    """One of `AXES`."""
    clip: bool = False
    """Outliers are left out of the range of y."""
    bands: bool = True
    """Confidence bands are drawn."""
    grid: str = ""
    """Columns and rows of charts on a page, as `3x2`; empty: what fits."""
    zooms: tuple[str, ...] = ()
    """Ranges of x that charts are zoomed to: whose charts, axis, low, high, as `17 epoch 5.0 9.5`."""
    list_share: float = 0.4
    """Share of the dashboard's width that the list of runs has."""
    leaderboard_sort: str = ""
    """Column of the leaderboard; empty: by rank."""
    leaderboard_by_phase: bool = False
    events_filter: str = ""
    """Only events in which this text stands; empty: all."""
    events_attention: bool = False
    """Only events that are warnings or errors."""
    events_seen: int = 0
    """Id of the newest event when the events screen was last left; 0: it never was."""
    events_seen_there: tuple[str, ...] = ()
    """The same for each watched host."""

    @property
    def seen(self) -> tuple[int, ...]:
        """Both together: an id says which store it is of."""
        there = (int(text) for text in self.events_seen_there if text.isascii() and text.isdecimal())
        return tuple(filter(None, (self.events_seen, *there)))

    def having_seen(self, newest: Collection[int]) -> ViewOptions:
        """The options after a visit of the events screen that ended with these events."""
        local = [event_id for event_id in newest if not slot_of(event_id)]
        there = [str(event_id) for event_id in newest if slot_of(event_id)]
        return replace(self, events_seen=max(local, default=0), events_seen_there=tuple(there))


@dataclass(frozen=True, slots=True)
class Config:
    """What the user has set in `config.toml`."""

    theme: str = ""
    """Name of a theme; empty: the one used last, or the default."""
    ascii: bool = False
    """Draw with ASCII characters only."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Command id -> comma-separated keys."""
    alerts: AlertSettings = field(default_factory=AlertSettings)
    """What is told of runs, and where to."""
    hosts: Mapping[str, Host] = field(default_factory=dict)
    """Machines that have a name, by it."""
    ssh_command: tuple[str, ...] = ()
    """Program and arguments that connect to them; empty: `ssh`."""


@dataclass(frozen=True, slots=True)
class UiState:
    """What the dashboard remembers."""

    theme: str = ""
    """A store that has none of its own yet takes the one that was chosen last."""
    ascii: bool = False
    """ASCII characters only, as chosen in the settings."""
    options: ViewOptions = ViewOptions()
    focused_run: int | None = None
    marked: tuple[int, ...] = ()


def load_config(path: Path | None = None, *, commands: Iterable[str] = ()) -> Config:
    """Read the settings; no file means the defaults.

    Args:
        path: the file; None: the user's.
        commands: known command ids, to check `[keys]` with; empty: not checked.

    Raises:
        UsageError: unreadable, no TOML, an unknown key, a value of the wrong kind.
    """
    file = path or config_file()
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}", "Correct it or remove it.") from error
    return _checked(values, file, list(commands))


def _checked(values: dict[str, Any], file: Path, commands: list[str]) -> Config:
    kinds: dict[str, type] = {
        **{"theme": str, "ascii": bool, "keys": dict, "alerts": dict},
        **{"hosts": dict, "ssh_command": object},
    }
    words = {str: "a text", bool: "true or false", dict: "a table"}
    for name, value in values.items():
        if name not in kinds:
            raise UsageError(f"{file}: unknown setting {name!r}", did_you_mean(name, kinds))
        if not isinstance(value, kinds[name]):
            raise UsageError(f"{file}: {name} = {value!r} is not {words[kinds[name]]}")
    for name, keys in values.get("keys", {}).items():
        if commands and name not in commands:
            raise UsageError(f"{file}: there is no command {name!r} in [keys]", did_you_mean(name, commands))
        if not isinstance(keys, str) or not all(key.strip() for key in keys.split(",")):
            raise UsageError(
                f"{file}: keys.{name} = {keys!r} is not a key", 'For example: launch = "n" or "n,f2".'
            )
    return Config(
        theme=values.get("theme", ""),
        ascii=values.get("ascii", False),
        keys=values.get("keys", {}),
        alerts=alert_settings(values.get("alerts", {}), file),
        hosts=hosts_of(values.get("hosts", {}), file),
        ssh_command=words_of(values.get("ssh_command", ()), f"{file}: ssh_command"),
    )


def load_state(store: str, path: Path | None = None) -> UiState:
    """What was remembered for a store. A missing or damaged file is an empty memory."""
    document = _read_document(path or state_file())
    cursor = _table(_table(document, "stores"), store)
    focused = cursor.get("focused_run")
    marked = cursor.get("marked")
    themes = (table.get("theme") for table in (cursor, document))
    return UiState(
        theme=next((theme for theme in themes if isinstance(theme, str)), ""),
        ascii=document.get("ascii") is True,
        # A list that opens in the trash would look like a store whose runs are gone.
        options=replace(_options(_table(cursor, "options")), shelf=ViewOptions().shelf),
        focused_run=focused if isinstance(focused, int) else None,
        marked=tuple(i for i in marked if isinstance(i, int)) if isinstance(marked, list) else (),
    )


def save_state(store: str, state: UiState, path: Path | None = None) -> None:
    """Remember the state for a store.

    Raises:
        OSError: the file cannot be written.
    """
    file = path or state_file()
    stores = _table(_read_document(file), "stores")
    stores.pop(store, None)
    stores[store] = {
        "theme": state.theme,
        "focused_run": state.focused_run,
        "marked": list(state.marked),
        "options": asdict(state.options),
    }
    document = {
        "theme": state.theme,
        "ascii": state.ascii,
        "stores": dict(list(stores.items())[-REMEMBERED_STORES:]),
    }
    write_atomically(file, json.dumps(document, indent=1))


def _read_document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _table(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _options(values: Mapping[str, Any]) -> ViewOptions:
    default = ViewOptions()
    kept = {}
    for item in fields(ViewOptions):
        value = values.get(item.name)
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            value = tuple(value)  # JSON has no tuples
        if isinstance(value, type(getattr(default, item.name))):
            kept[item.name] = value
    options = ViewOptions(**kept)
    sensible = options.axis in AXES and 0 <= options.smoothing < 1 and 0.1 <= options.list_share <= 0.9
    return options if sensible else default
