"""Audits of data out of the store: made once for a data set, by whoever needs it first."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from engine.audit.data import audit_data, settings_of
from engine.audit.lags import context_horizon
from engine.data.progress import Progress, silent
from engine.data.split import SplitView
from engine.data.vectors import VectorSet
from lvmtui.findings import GLYPHS, KIND, Finding, finding_of, worst_first
from lvmtui.store.reader import Reader
from lvmtui.store.writer import Writer

CONTEXT_CHECK = "context-horizon"
"""The check that depends on a run's context: its outcome is kept with the run, not with the data."""

Value = TypeVar("Value")


class Call(Protocol):
    """Does something with the store's writer and returns its value, as `Reporter.call` does."""

    def __call__(self, work: Callable[[Writer], Value], /) -> Value: ...


def audit_once(
    data: VectorSet,
    splits: Mapping[str, SplitView],
    context: int,
    call: Call,
    log: logging.Logger,
    *,
    split_seed: int = 0,
    within_document: bool = False,
    progress: Progress = silent,
) -> list[Finding]:
    """The audit of a run's data: from the store, or made and put there; what is wrong is told in the log.

    A context that is longer than anything in it can help is a finding on the run, and kept with it.

    Args:
        data: the run's vector set.
        splits: as `split_documents(data, split_seed)` gives them, whatever protocol the run is judged under.
        context: the run's context.
        call: gives the writer of the run.
        log: where it is told.
        split_seed: what the splits were made with.
        within_document: whether contexts stay in their document.
        progress: told how far the audit is.

    Returns:
        Every outcome, the one on the run's context last.
    """
    settings = settings_of(split_seed=split_seed, within_document=within_document)
    findings = call(lambda writer: stored_audit(Reader(writer.database), data.fingerprint, settings))
    if not findings:
        log.info("auditing the data")
        findings = audit_data(
            data, splits, split_seed=split_seed, within_document=within_document, progress=progress
        )
        made = findings
        call(lambda writer: keep_audit(writer, made))
    by_check = {finding.check: finding for finding in findings}
    reach = context_horizon(context, by_check["lag-curve"], by_check["context-value"])
    if not reach.passed:
        call(lambda writer: _keep_with_run(writer, reach))
    for finding in worst_first([*findings, reach]):
        if not finding.passed:
            log.warning("%s %s: %s", GLYPHS[finding.severity], finding.check, finding.message)
    return [*findings, reach]


def stored_audit(reader: Reader, fingerprint: str, settings: Mapping[str, Any]) -> list[Finding]:
    """The newest audit of some data, if it was made by these checks with these settings; else nothing."""
    events = [
        event
        for event in reader.events_of_kind(KIND)
        if event.run_id is None and event.evidence.get("data") == fingerprint
    ]
    # All of one audit have one time.
    newest = max((event.time for event in events), default=0.0)
    findings = [finding_of(event) for event in events if event.time == newest]
    same = all(finding.evidence.get("audit") == settings for finding in findings)
    return findings if same else []


def keep_audit(writer: Writer, findings: Sequence[Finding]) -> None:
    """Put an audit of data into the store; it takes the place of older ones."""
    now = time.time()
    kept = [finding for finding in findings if finding.check != CONTEXT_CHECK]
    writer.events([finding.event(now) for finding in kept], of_run=False)


def _keep_with_run(writer: Writer, finding: Finding) -> None:
    """Add a finding to the run, unless an earlier attempt did."""
    known = Reader(writer.database).events(run_id=writer.run_id)
    if all(event.kind != KIND or event.evidence.get("check") != finding.check for event in known):
        writer.events([finding.event(time.time())])
