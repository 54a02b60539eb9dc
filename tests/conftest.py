"""What every test needs: a place of its own, and no traces of the user's settings."""

import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control starts its background jobs with SIGINT ignored, nohup with SIGHUP ignored, and
# every process below inherits it.
for ignored, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, handler)


def pytest_collection_finish() -> None:
    """Spare the garbage collector modules and tests, 0.2 s at every full collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's config, state and store out of the tests. The cache stays: it holds the demo data."""
    for name in ("LVMTUI_STORE", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Wait for a condition with a deadline, and say what was waited for."""

    def wait(condition: Callable[[], object], what: str = "the condition", seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.02)

    return wait


@pytest.fixture
def real_data() -> Path:
    """The folder of real sentence vectors that lies beside a developer's checkout."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real sentence vectors are not beside this checkout")
    return folder
