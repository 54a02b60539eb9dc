"""From what a recipe calls its data to the vector set."""

from pathlib import Path

from engine.data.demo import ensure_demo
from engine.data.progress import Progress, silent
from engine.data.vectors import VectorSet, open_vectors

DEMO = "demo"


def resolve_data(path_text: str, progress: Progress = silent) -> VectorSet:
    """Open a vector set by folder, or the built-in demo data (built on first use) by the name `demo`.

    Raises:
        DataError: it cannot be opened or built.
        MissingDependency: building it needs a package that is not installed.
    """
    if path_text == DEMO:
        return ensure_demo(progress)
    return open_vectors(Path(path_text), progress)
