"""Reads a run's log piece by piece, safe to print."""

from __future__ import annotations

from pathlib import Path

from lvmtui.reading import clean_line


def read_on(path: Path, position: int, *, whole_lines: bool = False) -> tuple[list[str], int]:
    """The lines from a byte position on, and the position after them; none when there is no file.

    Args:
        path: the log.
        position: where the last call ended; 0 at first.
        whole_lines: leave an unfinished last line for the next call.
    """
    if not path.is_file():
        return [], position
    with path.open("rb") as file:
        file.seek(position)
        data = file.read()
    if whole_lines:
        data = data[: data.rfind(b"\n") + 1]
    if not data:
        return [], position
    texts = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    return [clean_line(text) for text in texts], position + len(data)
