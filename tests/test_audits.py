"""Findings, test scores and looks on their way from the store to the snapshot."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lvmtui.findings import Finding, finding_of
from lvmtui.merge import Merge
from lvmtui.stats import pack_ranks
from lvmtui.store import looks
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import (
    EpochReport,
    Evaluation,
    Event,
    Progress,
    Protocol,
    QueryFact,
    RunFacts,
    Severity,
)
from lvmtui.store.writer import Writer
from tests.test_feed import launch

DATA = "f" * 16


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "runs.db")
    yield opened
    opened.close()


@pytest.fixture
def writer(database: Database) -> Writer:
    writer = launch(database)
    process = psutil.Process(os.getpid())
    writer.start(pid=process.pid, process_started=process.create_time(), host=socket.gethostname())
    facts = RunFacts(
        parameters=1, data_fingerprint=DATA, protocol_id="p1", device="cpu", versions={"torch": "2"}
    )
    writer.running(facts)
    return writer


def finding(check: str, severity: Severity, data: str = "") -> Finding:
    return Finding(check, f"{check} was seen", severity, "Mend it.", {"share": 0.25}, data)


def evaluation(split: str) -> Evaluation:
    return Evaluation(
        "p1", split, 1, 10, time.time(), 0.2, 0.4, 0.6, 0.3, 5, 20, ranks=pack_ranks([1, 2, 6, 12, 3])
    )


def test_a_finding_comes_back_from_the_store_as_it_was(database: Database, writer: Writer) -> None:
    made = finding("drift", Severity.WARN, DATA)
    writer.events([made.event(5.0)], of_run=False)
    (event,) = Reader(database).events_of_kind("audit")
    assert event.run_id is None
    assert finding_of(event) == made


def test_only_the_newest_audit_of_data_counts(database: Database, writer: Writer) -> None:
    merge = Merge(Reader(database))
    old = [finding("leak", Severity.ERROR, DATA), finding("norms", Severity.INFO, DATA)]
    writer.events([item.event(1.0) for item in old], of_run=False)
    merge.read(time.time())
    first = merge.build((), time.time())
    assert [item.check for item in first.audits[DATA]] == ["leak", "norms"]
    assert [item.check for item in first.runs[0].findings] == ["leak"]
    writer.events([finding("norms", Severity.INFO, DATA).event(2.0)], of_run=False)
    merge.read(time.time())
    second = merge.build((), time.time())
    assert [item.check for item in second.audits[DATA]] == ["norms"]
    assert second.runs[0].findings == ()


def test_a_run_shows_its_own_findings_and_those_of_its_data_worst_first(
    database: Database, writer: Writer
) -> None:
    writer.events(
        [finding("few-steps", Severity.WARN).event(1.0), finding("stall", Severity.INFO).event(1.0)]
    )
    writer.events([finding("leak", Severity.ERROR, DATA).event(1.0)], of_run=False)
    writer.events([finding("leak", Severity.ERROR, "0" * 16).event(1.0)], of_run=False)
    merge = Merge(Reader(database))
    merge.read(time.time())
    found = merge.build((), time.time()).runs[0].findings
    assert [(item.check, item.data) for item in found] == [("leak", DATA), ("few-steps", "")]


def test_looks_at_the_test_split_are_counted_and_its_score_is_shown(
    database: Database, writer: Writer
) -> None:
    for by in ("promote", "evaluate"):
        writer.events([Event(looks.KIND, "about to look", time.time(), evidence={"data": DATA, "by": by})])
    writer.save_evaluation(evaluation("test"))
    merge = Merge(Reader(database))
    merge.read(time.time())
    snapshot = merge.build((), time.time())
    assert snapshot.test_looks == {DATA: 2}
    (view,) = snapshot.runs
    assert view.test is not None
    assert view.test.split == "test"
    assert view.best is None
    assert merge.build((), time.time()) is snapshot


def test_slices_are_made_of_stored_facts(database: Database, writer: Writer) -> None:
    protocol = Protocol("p1", "doc-v1", DATA, {}, "validation", 5, 20, 0.0, 2, pack_ranks([0, 0, 0, 1, 1]))
    writer.save_protocol(protocol)
    writer.save_query_facts("p1", [QueryFact("position", pack_ranks([1, 2, 3, 1, 2]))])
    writer.epoch(
        EpochReport(Progress(epoch=1, best_epoch=1, best_value=0.4), evaluation=evaluation("validation"))
    )
    merge = Merge(Reader(database))
    merge.read(time.time())
    merge.read_details([writer.run_id])
    merge.read_curves([writer.run_id])
    detail = merge.build([writer.run_id], time.time()).details[writer.run_id]
    (by_position,) = detail.slices
    assert by_position.name == "position"
    assert sum(part.n for part in by_position.slices) == 5
    assert by_position.slices[0].hit5 == 0.5
