"""Checks of the installation, the store and the terminal."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from lvmtui.errors import LvmtuiError, StoreMissing
from lvmtui.format import size
from lvmtui.launcher import run_python
from lvmtui.requirements import TRAIN_PACKAGES

LEAST_FREE = 1 << 30
"""Bytes of free disk under which checkpoints may soon not fit."""

BASE_PACKAGES = {
    "textual": "textual",
    "plotext": "plotext",
    "sqlmodel": "sqlmodel",
    "pydantic": "pydantic",
    "watchfiles": "watchfiles",
    "numpy": "numpy",
    "typer": "typer",
    "rich": "rich",
    "psutil": "psutil",
    "pynvml": "nvidia-ml-py",
    "platformdirs": "platformdirs",
}
"""Import name -> name of the distribution."""

ENCODE_PACKAGES = {"sentence_transformers": "sentence-transformers"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool | None
    """None: worth knowing, neither good nor bad."""
    words: str
    hint: str = ""
    needed: bool = True
    """Whether lvmtui cannot do its work without it."""

    @property
    def glyph(self) -> str:
        if self.passed is None or not (self.passed or self.needed):
            return "·"
        return "✔" if self.passed else "✖"

    @property
    def word(self) -> str:
        """The same in a word."""
        if self.passed is None:
            return "note"
        return "ok" if self.passed else "broken" if self.needed else "optional"


def examine(store: str) -> tuple[Check, ...]:
    """Look at everything.

    Args:
        store: path or URL of the run store.
    """
    checks: list[Callable[[], Check]] = [
        _python,
        lambda: _packages("packages", BASE_PACKAGES, "Install lvmtui again: pip install lvmtui", needed=True),
        lambda: _packages("training", TRAIN_PACKAGES, "pip install 'lvmtui[train]'", needed=False),
        lambda: _packages("sentence encoders", ENCODE_PACKAGES, "pip install 'lvmtui[encode]'", needed=False),
        _torch_device,
        _recipes,
        lambda: _store(store),
        lambda: _disk(store),
        _cache,
        _terminal,
        _unicode,
    ]
    return tuple(check() for check in checks)


def _python() -> Check:
    version = platform.python_version()
    passed = sys.version_info >= (3, 11)
    return Check(
        "python", passed, f"{version} at {sys.executable}", "" if passed else "lvmtui needs 3.11 or later."
    )


def _packages(name: str, packages: dict[str, str], hint: str, *, needed: bool) -> Check:
    missing = [distribution for module, distribution in packages.items() if find_spec(module) is None]
    if missing:
        return Check(name, False, f"not installed: {', '.join(missing)}", hint, needed)
    versions = ", ".join(f"{item} {_version(item)}" for item in packages.values())
    return Check(name, True, versions, needed=needed)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "(unknown version)"


_DEVICE_CODE = """
import json, torch
found = ["cpu"]
if torch.cuda.is_available():
    found = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
elif torch.backends.mps.is_available():
    found = ["mps"]
print(json.dumps(found))
"""


def _torch_device() -> Check:
    name = "torch device"
    if find_spec("torch") is None:
        return Check(name, None, "torch is not installed: runs can be watched, not trained", needed=False)
    code, output = run_python(_DEVICE_CODE, seconds=120)
    try:
        devices = json.loads(output.strip().splitlines()[-1]) if code == 0 else None
    except (IndexError, ValueError):
        devices = None
    if not devices:
        words = f"torch does not work: {output.strip().splitlines()[-1:] or [f'exit code {code}']}"
        return Check(name, False, words, "Install it again: pip install 'lvmtui[train]'")
    return Check(name, True, ", ".join(map(str, devices)))


def _recipes() -> Check:
    from lvmtui import recipe as recipes

    try:
        files = recipes.recipe_files()
    except LvmtuiError as error:
        return Check("phases", False, error.message, error.hint)
    broken = []
    for name, path in files.items():
        try:
            recipes.load_file(path)
        except LvmtuiError as error:
            broken.append(f"{name} ({error.message})")
    if broken:
        return Check("phases", False, f"cannot be read: {'; '.join(broken)}", needed=False)
    return Check("phases", bool(files), ", ".join(files) or "none", "" if files else "Install lvmtui again.")


def _store(store: str) -> Check:
    from lvmtui.store.database import Database
    from lvmtui.store.reader import Reader

    try:
        database = Database.open(store, create=False, read_only=True)
    except StoreMissing as error:
        return Check("store", None, error.message, "It is made with the first run.")
    except LvmtuiError as error:
        return Check("store", False, error.message, error.hint)
    try:
        runs = len(Reader(database).runs())
        return Check("store", True, f"{database.location.where}, {runs} runs")
    finally:
        database.close()


def _disk(store: str) -> Check:
    from lvmtui.store.location import Location

    folder = _existing(Location.parse(store).root)
    free = shutil.disk_usage(folder).free
    hint = "" if free >= LEAST_FREE else "Checkpoints of large models may not fit."
    return Check("disk", free >= LEAST_FREE, f"{size(free)} free at {folder}", hint, needed=False)


def _existing(path: Path) -> Path:
    return next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))


def _cache() -> Check:
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("lvmtui", appauthor=False))
    passed = os.access(_existing(folder), os.W_OK | os.X_OK)
    hint = (
        "" if passed else "Built-in data is kept there; set XDG_CACHE_HOME to a folder that can be written."
    )
    return Check("cache folder", passed, str(folder), hint)


def _terminal() -> Check:
    if not sys.stdout.isatty():
        return Check("terminal", None, "output goes to no terminal: the dashboard needs one", needed=False)
    from rich.console import Console

    columns, rows = shutil.get_terminal_size()
    colours = {"truecolor": "16M", "256": "256", "standard": "16", "windows": "16", None: "no"}
    found = colours.get(Console().color_system, "some")
    words = f"{columns}x{rows}, {found} colours, TERM={os.environ.get('TERM', '')}"
    if os.environ.get("TERM", "dumb") == "dumb":
        return Check("terminal", False, words, "Set TERM to what the terminal is.", needed=False)
    small = columns < 80 or rows < 24
    return Check(
        "terminal", None if small else True, words, "80x24 or more shows everything." if small else ""
    )


def _unicode() -> Check:
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    passed = encoding == "utf8"
    hint = "" if passed else "Set a UTF-8 locale, for example LANG=C.UTF-8; signs are shown as ? until then."
    return Check("unicode", passed, sys.stdout.encoding or "unknown encoding", hint, needed=False)
