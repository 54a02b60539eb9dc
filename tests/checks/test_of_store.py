"""A run's audit from a real store: recomputed from its rows, completed by what only training could see."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.checks.of_store import audit_run, history_of
from lvmtui.findings import Finding
from lvmtui.recipe import build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import (
    EpochReport,
    Event,
    MetricPoint,
    NewRun,
    Progress,
    Protocol,
    RunFacts,
    Severity,
)
from lvmtui.store.writer import Writer
from tests.checks.histories import an_evaluation, cosine_rate, falling_loss

QUERIES = 200


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "runs.db")
    yield opened
    opened.close()


def trained(database: Database, *, steps: int = 90, nan_at: int | None = None) -> Writer:
    """A run of 3 epochs in the store, with baselines; early stopped."""
    recipe = build({"name": "tiny", "train": {"epochs": 10, "accumulation": 1, "lr": 1e-3}})
    new = NewRun("tiny", recipe.to_json(), recipe.hash, 0, "gru", 6, "hit5", "x", 10, 3)
    writer = Writer(database, Controller(database).create_run(new).id)
    writer.start(pid=1, process_started=1.0, host="here")
    writer.running(RunFacts(1, "f", "p", "cpu", {}))
    writer.save_protocol(
        Protocol(
            "p", "doc-v1", "f", {}, "validation", QUERIES, 300, 0.0, 20,
            stats.pack_ranks(np.repeat(np.arange(20), 10)),
        )
    )  # fmt: skip
    ranks = np.tile(np.arange(1, 11), 20)
    writer.save_baseline(an_evaluation(0, 0.5, baseline="ewm", ranks=stats.pack_ranks(ranks), n=QUERIES))
    losses, rates = falling_loss(), cosine_rate(total=300, warmup=15)
    for epoch in (1, 2, 3):
        points = []
        for step in range((epoch - 1) * steps // 3 + 1, epoch * steps // 3 + 1):
            loss = float("nan") if step == nan_at else float(losses[step])
            for key, value in (("train/loss", loss), ("train/lr", rates[step]), ("train/grad_norm", 1.0)):
                points.append(MetricPoint(key, step, step / 30, 0.0, value))
        blob = stats.pack_ranks(ranks + (ranks > 2))
        evaluation = an_evaluation(epoch, 0.4, step=epoch * steps // 3, ranks=blob, n=QUERIES)
        progress = Progress(epoch, 10, epoch * steps // 3, 10 * steps // 3, best_value=0.4, best_epoch=1)
        writer.epoch(EpochReport(progress, tuple(points), evaluation))
    return writer


def end(writer: Writer, result: Result) -> None:
    writer.finish(result, Event(result.value, "over", 0.0))


def test_a_recorded_run_is_read_back(database: Database) -> None:
    writer = trained(database, nan_at=40)
    history = history_of(Reader(database), writer.run())
    assert history.plan is not None
    assert (history.plan.steps, history.plan.steps_per_epoch, history.plan.warmup) == (300, 30, 15)
    assert history.plan.windows is None, "a pass over the data: how many windows is not known"
    assert (history.step, len(history.loss), len(history.rate)) == (90, 89, 90)
    assert history.skipped == (40,)
    assert [item.epoch for item in history.evaluations] == [1, 2, 3]
    assert history.versus is not None
    assert history.versus.baseline == "ewm"
    assert history.versus.difference == pytest.approx(-0.1)


def test_what_is_wrong_is_found_again(database: Database) -> None:
    writer = trained(database, nan_at=40)
    end(writer, Result.EARLY_STOPPED)
    found = {finding.check: finding for finding in audit_run(Reader(database), writer.run())}
    assert {"below-baseline", "few-steps", "not-finite", "never-annealed"} <= set(found)
    assert found["below-baseline"].severity is Severity.ERROR
    severities = [finding.severity for finding in found.values()]
    assert severities[0] is Severity.ERROR, "worst first"


def test_while_it_runs_only_what_is_sure_is_said(database: Database) -> None:
    writer = trained(database, nan_at=40)
    assert [finding.check for finding in audit_run(Reader(database), writer.run())] == ["not-finite"]


def test_live_findings_are_kept_and_none_comes_twice(database: Database) -> None:
    writer = trained(database)
    live = [
        Finding("dead-parameters", "1 parameter got no gradient", Severity.WARN),
        Finding("partial-accumulation", "1 of 2 steps", Severity.WARN),
        Finding("few-steps", "as it was seen then", Severity.WARN),
        Finding("dead-module", "memory", Severity.WARN),
        Finding("dead-module", "memory, worse", Severity.ERROR),
        Finding("stall", "no longer so", Severity.WARN),
    ]
    writer.events([finding.event(1.0) for finding in live])
    end(writer, Result.EARLY_STOPPED)
    found = audit_run(Reader(database), writer.run())
    checks = [finding.check for finding in found]
    assert len(set(checks)) == len(checks)
    by_name = {finding.check: finding for finding in found}
    assert {"dead-parameters", "partial-accumulation", "dead-module", "few-steps"} <= set(checks)
    assert by_name["dead-module"].message == "memory, worse", "the last word counts"
    assert by_name["few-steps"].message != "as it was seen then", "what can be recomputed is"
    assert "stall" not in checks


def test_a_run_without_a_readable_recipe(database: Database) -> None:
    new = replace(NewRun("other", "{}", "h", 0, "net", 1, "hit5", "x", 1, 1), recipe='{"foreign": 1}')
    run = Controller(database).create_run(new)
    assert audit_run(Reader(database), run) == ()
    assert history_of(Reader(database), run).plan is None
