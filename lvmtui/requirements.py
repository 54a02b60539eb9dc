"""What must be there before a run can be made: packages and data."""

from importlib.util import find_spec
from pathlib import Path

from lvmtui.errors import DataError, MissingDependency

TRAIN_PACKAGES = {"torch": "torch", "safetensors": "safetensors", "sklearn": "scikit-learn"}
"""What the extra `train` brings: import name -> name of the distribution."""

INSTALL_TRAIN = "Install it with: pip install 'lvmtui[train]'"


def missing_train_packages() -> list[str]:
    """What of the extra `train` is not installed."""
    return [name for module, name in TRAIN_PACKAGES.items() if find_spec(module) is None]


def require_train() -> None:
    """Refuse to go on without the extra `train`.

    Raises:
        MissingDependency: with the line that installs it.
    """
    missing = missing_train_packages()
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingDependency(
            f"training needs {' and '.join(missing)}, which {verb} not installed", INSTALL_TRAIN
        )


def check_data(path: str) -> None:
    """See that a vector set is there before a run is made; the engine looks inside it.

    Raises:
        DataError: it is not.
    """
    if path == "demo":
        return
    folder = Path(path).expanduser()
    hint = "Build one with `lvmtui data build TEXTFILES… --out DIR`, or use the built-in set: -o data=demo"
    if not folder.is_dir():
        what = "is a file, not the folder of a vector set" if folder.exists() else "does not exist"
        raise DataError(f"the vector set {folder} {what}", hint)
    if not (folder / "vectors.npy").is_file():
        raise DataError(f"the vector set {folder} has no vectors.npy", hint)
