"""The engine's side of the store: what one running process says about its run."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update

from lvmtui.store import runs, tables
from lvmtui.store.convert import (
    checkpoint_columns,
    evaluation_columns,
    event_columns,
    jsonable,
    latency_columns,
    metric_columns,
    progress_columns,
    to_checkpoint,
    to_control,
)
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import (
    Checkpoint,
    Control,
    ControlKind,
    DeviceSample,
    EpochReport,
    Evaluation,
    Event,
    Latency,
    MetricPoint,
    Progress,
    Protocol,
    QueryFact,
    Run,
    RunFacts,
    Severity,
)

_METRIC = runs.table(tables.MetricRow)
_EVALUATION = runs.table(tables.EvaluationRow)
_CHECKPOINT = runs.table(tables.CheckpointRow)
_EVENT = runs.table(tables.EventRow)
_SAMPLE = runs.table(tables.DeviceSampleRow)
_CONTROL = runs.table(tables.ControlRow)
_PROTOCOL = runs.table(tables.ProtocolRow)
_LATENCY = runs.table(tables.LatencyRow)
_FACT = runs.table(tables.QueryFactRow)

DEVICE_HISTORY_SECONDS = 3600.0
"""How long device samples are kept."""


class Writer:
    """Writes for one run. Every method is one short transaction."""

    def __init__(self, database: Database, run_id: int) -> None:
        self.database = database
        self.run_id = run_id

    def run(self) -> Run:
        """The run as the store has it now."""
        with self.database.read() as connection:
            return runs.get(connection, self.run_id)

    def start(self, *, pid: int, process_started: float, host: str) -> Run:
        """Say that this process takes the run up.

        Raises:
            IllegalTransition: another process has it, or it is over.
        """
        now = time.time()
        with self.database.write() as connection:
            runs.move(
                connection,
                self.run_id,
                Status.STARTING,
                pid=pid,
                process_started=process_started,
                host=host,
                heartbeat=now,
                started=now,
                ended=None,
                error=None,
                attempt=runs.RUN.c.attempt + 1,
            )
            return runs.get(connection, self.run_id)

    def running(self, facts: RunFacts, event: Event | None = None) -> None:
        """Say that the first step comes next, and what was found out before it."""
        with self.database.write() as connection:
            runs.move(
                connection,
                self.run_id,
                Status.RUNNING,
                parameters=facts.parameters,
                data_fingerprint=facts.data_fingerprint,
                protocol_id=facts.protocol_id,
                device=facts.device,
                versions=dict(facts.versions),
                git_commit=facts.git_commit,
                heartbeat=time.time(),
            )
            if event is not None:
                connection.execute(insert(_EVENT), [event_columns(event, self.run_id)])

    def heartbeat(self, progress: Progress | None = None) -> None:
        """Say that the process is alive, and how far it is."""
        values: dict[str, Any] = progress_columns(progress) if progress else {}
        with self.database.write() as connection:
            runs.change(connection, self.run_id, heartbeat=time.time(), **values)

    def metrics(self, points: Sequence[MetricPoint], progress: Progress | None = None) -> None:
        """Store metric values; NaN and infinity become NULL."""
        with self.database.write() as connection:
            if points:
                connection.execute(insert(_METRIC), [metric_columns(self.run_id, p) for p in points])
            values = progress_columns(progress) if progress else {}
            runs.change(connection, self.run_id, heartbeat=time.time(), **values)

    def epoch(self, report: EpochReport) -> None:
        """Store everything that an epoch's end produced, or nothing of it."""
        with self.database.write() as connection:
            if report.metrics:
                rows = [metric_columns(self.run_id, point) for point in report.metrics]
                connection.execute(insert(_METRIC), rows)
            if report.evaluation is not None:
                connection.execute(insert(_EVALUATION), [evaluation_columns(report.evaluation, self.run_id)])
            if report.checkpoint is not None:
                self._insert_checkpoint(connection, report.checkpoint)
            if report.events:
                rows = [event_columns(event, self.run_id) for event in report.events]
                connection.execute(insert(_EVENT), rows)
            values = progress_columns(report.progress)
            runs.change(connection, self.run_id, heartbeat=time.time(), **values)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Record a checkpoint whose file is in place."""
        with self.database.write() as connection:
            self._insert_checkpoint(connection, checkpoint)
            runs.change(connection, self.run_id, heartbeat=time.time())

    def _insert_checkpoint(self, connection: Any, checkpoint: Checkpoint) -> None:
        mine = _CHECKPOINT.c.run_id == self.run_id
        if checkpoint.is_last:
            connection.execute(update(_CHECKPOINT).where(mine).values(is_last=False))
        if checkpoint.is_best:
            connection.execute(update(_CHECKPOINT).where(mine).values(is_best=False))
        connection.execute(insert(_CHECKPOINT), [checkpoint_columns(checkpoint, self.run_id)])

    def superseded_checkpoints(self) -> list[Checkpoint]:
        """Checkpoints that are neither best nor last nor promoted: their files may go."""
        promoted = select(runs.table(tables.PromotionRow).c.checkpoint_id)
        with self.database.read() as connection:
            rows = connection.execute(
                select(_CHECKPOINT).where(
                    _CHECKPOINT.c.run_id == self.run_id,
                    _CHECKPOINT.c.is_best.is_(False),
                    _CHECKPOINT.c.is_last.is_(False),
                    _CHECKPOINT.c.id.not_in(promoted),
                )
            ).mappings()
            return [to_checkpoint(dict(row)) for row in rows]

    def forget_checkpoints(self, ids: Sequence[int]) -> None:
        """Remove the rows of checkpoints whose files are about to go."""
        with self.database.write() as connection:
            connection.execute(delete(_CHECKPOINT).where(_CHECKPOINT.c.id.in_(ids)))

    def rewind(self, step: int) -> None:
        """Drop what the store has from after `step`: an interrupted run goes on from its checkpoint,
        and writes those rows again."""
        with self.database.write() as connection:
            for rows in (_METRIC, _EVALUATION, _CHECKPOINT, _LATENCY):
                connection.execute(delete(rows).where(rows.c.run_id == self.run_id, rows.c.step > step))
            runs.change(connection, self.run_id, heartbeat=time.time())

    def event(
        self,
        kind: str,
        message: str,
        severity: Severity = Severity.INFO,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that something happened."""
        event = Event(kind, message, time.time(), severity, evidence or {})
        with self.database.write() as connection:
            connection.execute(insert(_EVENT), [event_columns(event, self.run_id)])

    def events(self, events: Sequence[Event], *, of_run: bool = True) -> None:
        """Record several events.

        Args:
            events: in order.
            of_run: whether they are the run's; findings on data are nobody's.
        """
        if not events:
            return
        run_id = self.run_id if of_run else None
        with self.database.write() as connection:
            connection.execute(insert(_EVENT), [event_columns(event, run_id) for event in events])

    def device_samples(self, samples: Sequence[DeviceSample]) -> None:
        """Store device readings and drop those older than `DEVICE_HISTORY_SECONDS`."""
        if not samples:
            return
        names = [name for name in DeviceSample.__dataclass_fields__ if name != "id"]
        rows = [
            {name: jsonable(getattr(sample, name)) for name in names} | {"run_id": self.run_id}
            for sample in samples
        ]
        with self.database.write() as connection:
            connection.execute(insert(_SAMPLE), rows)
            oldest = samples[-1].time - DEVICE_HISTORY_SECONDS
            connection.execute(delete(_SAMPLE).where(_SAMPLE.c.time < oldest))

    def save_protocol(self, protocol: Protocol) -> None:
        """Record how evaluations under this protocol id are made; the first writer wins."""
        values = {name: getattr(protocol, name) for name in Protocol.__dataclass_fields__}
        with self.database.write() as connection:
            known = connection.execute(select(_PROTOCOL.c.id).where(_PROTOCOL.c.id == protocol.id)).first()
            if known is None:
                values["spec"] = jsonable(protocol.spec)
                connection.execute(insert(_PROTOCOL), [values])

    def save_query_facts(self, protocol_id: str, facts: Sequence[QueryFact]) -> None:
        """Record what is known of a protocol's queries, in place of what was known under the same names."""
        rows = [
            {
                "protocol_id": protocol_id,
                "name": fact.name,
                "packed": fact.packed,
                "meta": jsonable(fact.meta),
            }
            for fact in facts
        ]
        if not rows:
            return
        names = [fact.name for fact in facts]
        with self.database.write() as connection:
            connection.execute(
                delete(_FACT).where(_FACT.c.protocol_id == protocol_id, _FACT.c.name.in_(names))
            )
            connection.execute(insert(_FACT), rows)

    def save_evaluation(self, evaluation: Evaluation) -> None:
        """Record an evaluation of the run's model outside its training: of the test split, say."""
        with self.database.write() as connection:
            connection.execute(insert(_EVALUATION), [evaluation_columns(evaluation, self.run_id)])
            runs.change(connection, self.run_id)

    def save_latencies(self, latencies: Sequence[Latency]) -> None:
        """Record what one bench of the run's model measured, all of it or nothing."""
        if not latencies:
            return
        with self.database.write() as connection:
            connection.execute(insert(_LATENCY), [latency_columns(item, self.run_id) for item in latencies])
            runs.change(connection, self.run_id)

    def save_baseline(self, evaluation: Evaluation) -> None:
        """Record a baseline's evaluation; the first writer wins."""
        with self.database.write() as connection:
            known = connection.execute(
                select(_EVALUATION.c.id).where(
                    _EVALUATION.c.protocol_id == evaluation.protocol_id,
                    _EVALUATION.c.split == evaluation.split,
                    _EVALUATION.c.baseline == evaluation.baseline,
                    _EVALUATION.c.context == evaluation.context,
                )
            ).first()
            if known is None:
                connection.execute(insert(_EVALUATION), [evaluation_columns(evaluation, None)])

    def pending(self) -> list[Control]:
        """Requests that nobody has acknowledged yet."""
        with self.database.read() as connection:
            rows = connection.execute(
                select(_CONTROL)
                .where(_CONTROL.c.run_id == self.run_id, _CONTROL.c.acknowledged.is_(None))
                .order_by(_CONTROL.c.id)
            ).mappings()
            return [to_control(dict(row)) for row in rows]

    def acknowledge_stop(self) -> None:
        """Say that the stop request was seen: the run is stopping."""
        with self.database.write() as connection:
            connection.execute(
                update(_CONTROL)
                .where(
                    _CONTROL.c.run_id == self.run_id,
                    _CONTROL.c.kind == ControlKind.STOP.value,
                    _CONTROL.c.acknowledged.is_(None),
                )
                .values(acknowledged=time.time())
            )
            run = runs.get(connection, self.run_id)
            if run.status in {Status.STARTING, Status.RUNNING}:
                runs.move(connection, self.run_id, Status.STOPPING, heartbeat=time.time())

    def finish(self, result: Result, event: Event, *, error: str | None = None) -> None:
        """Say how the run ended.

        Args:
            result: how it ended.
            event: what to remember of it.
            error: message and traceback of a failure.
        """
        now = time.time()
        with self.database.write() as connection:
            run = runs.get(connection, self.run_id)
            runs.move(
                connection,
                self.run_id,
                Status.DONE,
                result,
                ended=now,
                heartbeat=now,
                error=error,
                active_seconds=run.active_seconds + (now - run.started if run.started else 0.0),
            )
            connection.execute(insert(_EVENT), [event_columns(event, self.run_id)])
