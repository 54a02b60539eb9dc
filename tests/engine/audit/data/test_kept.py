"""Audits in the store: one for each data set, and a run's own finding on its context."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.audit.kept import audit_once, keep_audit, stored_audit
from lvmtui.audits import Audits
from lvmtui.findings import KIND, finding_of
from lvmtui.recipe import build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun, Severity
from lvmtui.store.writer import Writer
from tests.engine.audit.data import texts as plant
from tests.engine.audit.data.conftest import Opened
from tests.engine.audit.data.texts import texts

Open = Callable[..., Opened]
LOG = logging.getLogger("engine.audit.test")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """The writer of a queued run."""
    database = Database.open(tmp_path / "runs.db")
    recipe = build({"name": "phase-1", "data": {"context": 100}})
    run = Controller(database).create_run(
        NewRun("phase-1", recipe.to_json(), recipe.hash, 0, "gru", 100, "hit5", "demo", 3, 3)
    )
    yield Writer(database, run.id)
    database.close()


def caller(writer: Writer) -> Callable[[Callable[[Writer], Any]], Any]:
    return lambda work: work(writer)


def events(writer: Writer) -> list[Any]:
    return Reader(writer.database).events_of_kind(KIND)


def test_data_are_audited_once(opened: Open, writer: Writer) -> None:
    data, splits = opened(*plant.few_documents())
    first = audit_once(data, splits, 50, caller(writer), LOG)
    stored = events(writer)
    assert {event.run_id for event in stored} == {None}
    assert len({event.time for event in stored}) == 1
    assert len(stored) == len(first) - 1
    second = audit_once(data, splits, 50, caller(writer), LOG)
    assert len(events(writer)) == len(stored)
    assert [finding.message for finding in second] == [finding.message for finding in first]


def test_what_is_wrong_is_told_in_the_log(
    opened: Open, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    data, splits = opened(*plant.few_documents())
    with caplog.at_level(logging.INFO, LOG.name):
        audit_once(data, splits, 50, caller(writer), LOG)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("few-documents: Only 6 validation documents" in text for text in warnings)
    caplog.clear()
    with caplog.at_level(logging.INFO, LOG.name):
        audit_once(data, splits, 50, caller(writer), LOG)
    assert [record.getMessage() for record in caplog.records] == warnings


def test_another_split_is_another_audit(opened: Open, writer: Writer) -> None:
    data, splits = opened(*texts(documents=30))
    audit_once(data, splits, 50, caller(writer), LOG)
    before = len(events(writer))
    audit_once(data, opened(*texts(documents=30), seed=1)[1], 50, caller(writer), LOG, split_seed=1)
    assert len(events(writer)) == 2 * before
    audit_once(data, splits, 50, caller(writer), LOG, within_document=True)
    assert len(events(writer)) == 3 * before
    # The newest takes the place of the others.
    audits = Audits()
    audits.add(events(writer))
    (findings,) = audits.data.values()
    assert len(findings) == before
    assert all(finding.evidence["audit"]["within_document"] for finding in findings)


def test_a_context_beyond_the_horizon_is_the_runs_own_finding(opened: Open, writer: Writer) -> None:
    data, splits = opened(*texts())
    short = audit_once(data, splits, 50, caller(writer), LOG)
    assert short[-1].check == "context-horizon"
    assert short[-1].passed
    assert all(event.run_id is None for event in events(writer))
    for _ in ("first attempt", "resumed"):
        long = audit_once(data, splits, 2000, caller(writer), LOG)
        assert long[-1].severity is Severity.WARN
    (own,) = [event for event in events(writer) if event.run_id == writer.run_id]
    assert finding_of(own).check == "context-horizon"
    assert "2 000" in own.message


def test_a_context_asked_for_by_hand_is_not_kept_with_the_data(opened: Open, writer: Writer) -> None:
    from engine.audit.data import audit_data, settings_of

    data, splits = opened(*texts(documents=30))
    keep_audit(writer, audit_data(data, splits, context=2000))
    settings = settings_of(split_seed=0, within_document=False)
    kept = stored_audit(Reader(writer.database), data.fingerprint, settings)
    assert kept
    assert "context-horizon" not in {finding.check for finding in kept}
    assert stored_audit(Reader(writer.database), "another", settings) == []
