"""The reading side: everything incremental, every read one consistent view."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import RowMapping, Select, func, select

from lvmtui.errors import RunNotFound
from lvmtui.store import runs, tables
from lvmtui.store.convert import (
    to_checkpoint,
    to_control,
    to_device_sample,
    to_evaluation,
    to_event,
    to_latency,
    to_metric,
    to_promotion,
    to_protocol,
    to_query_fact,
    to_run,
)
from lvmtui.store.database import Database
from lvmtui.store.records import (
    Checkpoint,
    Control,
    DeviceSample,
    Evaluation,
    Event,
    Latency,
    MetricPoint,
    Promotion,
    Protocol,
    QueryFact,
    Run,
)

Record = TypeVar("Record")

_METRIC = runs.table(tables.MetricRow)
_EVALUATION = runs.table(tables.EvaluationRow)
_CHECKPOINT = runs.table(tables.CheckpointRow)
_PROMOTION = runs.table(tables.PromotionRow)
_EVENT = runs.table(tables.EventRow)
_SAMPLE = runs.table(tables.DeviceSampleRow)
_CONTROL = runs.table(tables.ControlRow)
_PROTOCOL = runs.table(tables.ProtocolRow)
_LATENCY = runs.table(tables.LatencyRow)
_FACT = runs.table(tables.QueryFactRow)


class Reader:
    """Reads records. Methods with `after` return only what is newer."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def _all(self, query: Select[Any], convert: Callable[[RowMapping], Record]) -> list[Record]:
        with self.database.read() as connection:
            return [convert(row) for row in connection.execute(query).mappings()]

    def runs(self, after_revision: int = 0) -> list[Run]:
        """Runs changed since, oldest first."""
        query = select(runs.RUN).where(runs.RUN.c.revision > after_revision).order_by(runs.RUN.c.id)
        return self._all(query, to_run)

    def run(self, run_id: int) -> Run:
        """One run.

        Raises:
            RunNotFound: there is none with this id.
        """
        with self.database.read() as connection:
            return runs.get(connection, run_id)

    def resolve(self, text: str) -> Run:
        """The run that a user means: `17`, `#17`, `phase-3 #17`, or `last`.

        Raises:
            RunNotFound: nothing fits; the hint names the newest runs.
        """
        wanted = text.strip()
        if wanted == "last":
            with self.database.read() as connection:
                newest = connection.execute(select(func.max(runs.RUN.c.id))).scalar()
            if newest is not None:
                return self.run(int(newest))
            raise RunNotFound("the store has no runs yet", "`lvmtui demo` makes the first.")
        number = wanted.rpartition("#")[2].strip()
        phase = wanted.rpartition("#")[0].strip()
        if number.isascii() and number.isdecimal() and len(number) < 19:
            try:
                run = self.run(int(number))
            except RunNotFound:
                pass
            else:
                if phase in {"", run.phase}:
                    return run
        newest_names = [run.name for run in self.runs()[-5:]]
        hint = f"The newest are: {', '.join(newest_names)}." if newest_names else "The store has no runs yet."
        raise RunNotFound(f"there is no run {text!r}", hint)

    def metrics(self, run_id: int, after: int = 0, keys: Sequence[str] | None = None) -> list[MetricPoint]:
        """Metric values of a run with an id above `after`, in order of arrival."""
        query = select(_METRIC).where(_METRIC.c.run_id == run_id, _METRIC.c.id > after).order_by(_METRIC.c.id)
        if keys is not None:
            query = query.where(_METRIC.c.key.in_(keys))
        return self._all(query, to_metric)

    def evaluations(self, run_id: int, after: int = 0) -> list[Evaluation]:
        """Evaluations of a run's model, in order."""
        query = (
            select(_EVALUATION)
            .where(_EVALUATION.c.run_id == run_id, _EVALUATION.c.id > after)
            .order_by(_EVALUATION.c.id)
        )
        return self._all(query, to_evaluation)

    def all_evaluations(self, after: int = 0) -> list[Evaluation]:
        """Evaluations of all models and baselines, in order, without their ranks (which are large)."""
        columns = [c for c in _EVALUATION.c if c.name != "ranks"]
        query = select(*columns).where(_EVALUATION.c.id > after).order_by(_EVALUATION.c.id)
        return self._all(query, to_evaluation)

    def best_evaluation(self, run: Run) -> Evaluation | None:
        """The evaluation at the run's best epoch, ranks included."""
        if run.progress.best_epoch is None:
            return None
        query = select(_EVALUATION).where(
            _EVALUATION.c.run_id == run.id,
            _EVALUATION.c.split == "validation",
            _EVALUATION.c.epoch == run.progress.best_epoch,
        )
        found = self._all(query.order_by(_EVALUATION.c.id.desc()).limit(1), to_evaluation)
        return found[0] if found else None

    def baselines(self, protocol_id: str) -> list[Evaluation]:
        """The baselines' evaluations under one protocol, weakest first (by Hit@5)."""
        query = (
            select(_EVALUATION)
            .where(_EVALUATION.c.protocol_id == protocol_id, _EVALUATION.c.baseline.is_not(None))
            .order_by(_EVALUATION.c.hit5, _EVALUATION.c.id)
        )
        return self._all(query, to_evaluation)

    def protocols(self) -> list[Protocol]:
        """Every protocol that something was judged under."""
        return self._all(select(_PROTOCOL).order_by(_PROTOCOL.c.id), to_protocol)

    def query_facts(self, protocol_id: str) -> dict[str, QueryFact]:
        """What is known of the queries of a protocol, by name."""
        query = select(_FACT).where(_FACT.c.protocol_id == protocol_id)
        return {fact.name: fact for fact in self._all(query, to_query_fact)}

    def checkpoints(self, run_id: int) -> list[Checkpoint]:
        """Checkpoints of a run that still have a file, oldest first."""
        query = select(_CHECKPOINT).where(_CHECKPOINT.c.run_id == run_id).order_by(_CHECKPOINT.c.id)
        return self._all(query, to_checkpoint)

    def latencies(self, after: int = 0, run_id: int | None = None) -> list[Latency]:
        """Measurements with an id above `after`, of all runs or of one, oldest first."""
        query = select(_LATENCY).where(_LATENCY.c.id > after).order_by(_LATENCY.c.id)
        if run_id is not None:
            query = query.where(_LATENCY.c.run_id == run_id)
        return self._all(query, to_latency)

    def promotions(self, after: int = 0) -> list[Promotion]:
        """The log of promotions, oldest first; the last one of an alias is in force."""
        return self._all(
            select(_PROMOTION).where(_PROMOTION.c.id > after).order_by(_PROMOTION.c.id), to_promotion
        )

    def events(self, after: int = 0, run_id: int | None = None, limit: int | None = None) -> list[Event]:
        """Events with an id above `after`, oldest first; with `limit`, only the newest of them."""
        query = select(_EVENT).where(_EVENT.c.id > after)
        if run_id is not None:
            query = query.where(_EVENT.c.run_id == run_id)
        if limit is None:
            return self._all(query.order_by(_EVENT.c.id), to_event)
        return self._all(query.order_by(_EVENT.c.id.desc()).limit(limit), to_event)[::-1]

    def events_of_kind(self, *kinds: str, after: int = 0) -> list[Event]:
        """Events of some kinds with an id above `after`, of all runs and of none, oldest first."""
        query = select(_EVENT).where(_EVENT.c.kind.in_(kinds), _EVENT.c.id > after).order_by(_EVENT.c.id)
        return self._all(query, to_event)

    def device_samples(self, after: int = 0, since: float = 0.0) -> list[DeviceSample]:
        """Device readings newer than the id `after` and the time `since`."""
        query = select(_SAMPLE).where(_SAMPLE.c.id > after, _SAMPLE.c.time >= since).order_by(_SAMPLE.c.id)
        return self._all(query, to_device_sample)

    def pending_controls(self) -> list[Control]:
        """Requests that no engine has acknowledged yet."""
        query = select(_CONTROL).where(_CONTROL.c.acknowledged.is_(None)).order_by(_CONTROL.c.id)
        return self._all(query, to_control)
