"""What every test of the dashboard needs."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_queue_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the dashboard from starting engines for the queued runs of a test's store."""
    monkeypatch.setattr("lvmtui.parts.queueing.QUEUE_SECONDS", 1e6)


@pytest.fixture(autouse=True)
def _a_processor_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queued runs wait for the same on every machine."""
    monkeypatch.setattr("lvmtui.this_host.devices", lambda: ("cpu",))


@pytest.fixture
def fixed_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are those of UTC, and colours those of a terminal that has them all."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLORTERM", "truecolor")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
