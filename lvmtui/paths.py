"""Where the program's own files are. Nothing is made on import; only what writes makes its folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def config_file() -> Path:
    """The user's settings: `config.toml`."""
    import platformdirs

    return Path(platformdirs.user_config_dir("lvmtui", appauthor=False)) / "config.toml"


def state_file() -> Path:
    """What the dashboard remembers from one start to the next."""
    import platformdirs

    return Path(platformdirs.user_state_dir("lvmtui", appauthor=False)) / "dashboard.json"


def write_atomically(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Replace a file's content at once, making its folder where needed.

    Args:
        mode: who may read and write it, as far as the umask lets them.

    Raises:
        OSError: the place cannot be written; the old content is then still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        # Not by tempfile, which would keep the file from everybody else whatever the umask says.
        with open(temporary, "x", encoding="utf-8", opener=_opener(mode)) as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda name, how: os.open(name, how, mode)
