"""The reading side: everything incremental, every read one consistent view. Plain SQL, so that a file is read
without SQLAlchemy."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from json import JSONDecodeError
from typing import Any, TypeVar

from lvmtui.errors import RunNotFound
from lvmtui.store.convert import (
    RUN_COLUMNS,
    SCORE_COLUMNS,
    Row,
    run_of,
    score_of,
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
)
from lvmtui.store.location import Source, damaged_json
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
WrittenOver = Mapping[str, Collection[int]]
"""What was written elsewhere than behind all other rows of its table, or taken away: a table, `zoom` (values
between those that were there) or `ranks` -> ids of the runs; 0: of none."""
Point = tuple[int, int, float, float, float | None]
"""Id, step, epoch, time and value of a metric; no value where it was not finite."""
Place = tuple[int, int]
"""Id and step of a value."""

_POINT = "SELECT id, step, epoch, time, value FROM metric"
_METRIC = "SELECT id, run_id, key, step, epoch, time, value FROM metric"
_RUN = "SELECT " + ", ".join(f'"{name}"' for name in RUN_COLUMNS) + " FROM run"
_SCORES = ", ".join(SCORE_COLUMNS)


class Reader:
    """Reads records. Methods with `after` return only what is newer."""

    origin = ""
    """Name of the watched host whose mirror is read; empty: it is a store that is written here."""

    def __init__(self, database: Source) -> None:
        self.database = database

    def _all(
        self, convert: Callable[[Row], Record], query: str, parameters: Mapping[str, Any] | None = None
    ) -> list[Record]:
        columns, values = self.database.select(query, parameters)
        try:
            return [convert(dict(zip(columns, row, strict=True))) for row in values]
        except JSONDecodeError as error:
            raise damaged_json(self.database.location, error) from error

    def _runs(self, where: str, parameters: Mapping[str, Any] | None = None) -> list[Run]:
        return self._rows(partial(run_of, origin=self.origin), f"{_RUN} {where}", parameters)

    def _scores(self, where: str, parameters: Mapping[str, Any] | None = None) -> list[Evaluation]:
        return self._rows(score_of, f"SELECT {_SCORES} FROM evaluation {where}", parameters)

    def _rows(
        self,
        convert: Callable[[Sequence[Any]], Record],
        query: str,
        parameters: Mapping[str, Any] | None = None,
    ) -> list[Record]:
        try:
            return [convert(row) for row in self.database.select(query, parameters).values]
        except JSONDecodeError as error:
            raise damaged_json(self.database.location, error) from error

    def _one(self, query: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The value of a query that has a single one."""
        return self.database.select(query, parameters).values[0][0]

    def runs(self, after_revision: int = 0) -> list[Run]:
        """Runs changed since, oldest first."""
        return self._runs("WHERE revision > :after ORDER BY id", {"after": after_revision})

    def history_mark(self) -> tuple[float, int]:
        """When the store was made, and the newest revision of its runs. Another moment, or an older revision
        than before, means that other contents stand in the file now."""
        made = self._one("SELECT min(applied) FROM schema_version")
        return float(made or 0.0), int(self._one("SELECT max(revision) FROM run") or 0)

    def written_over(self, after: int | None) -> tuple[int, WrittenOver]:  # noqa: ARG002
        """What has been written elsewhere than behind all other rows, which is where `after` looks.

        Args:
            after: mark of the last time; None: there was none, so nothing is known that could be old.

        Returns:
            The mark of now, and what it is.
        """
        return 0, {}

    def lost_reasons(self) -> Mapping[int, str] | None:
        """Ids of unfinished runs whose process is gone -> why that is thought; None: this is to be found out
        here."""
        return None

    def run_ids(self) -> list[int]:
        """Ids of all runs, oldest first."""
        return [row[0] for row in self.database.select("SELECT id FROM run ORDER BY id").values]

    def run_count(self) -> int:
        """How many runs there are."""
        return int(self._one("SELECT count(*) FROM run"))

    def run(self, run_id: int) -> Run:
        """One run.

        Raises:
            RunNotFound: there is none with this id.
        """
        found = self._runs("WHERE id = :run", {"run": run_id})
        if not found:
            raise RunNotFound(f"there is no run #{run_id}", "`lvmtui ls` lists the runs.")
        return found[0]

    def resolve(self, text: str) -> Run:
        """The run that a user means: `17`, `#17`, `phase-3 #17`, or `last`.

        Raises:
            RunNotFound: nothing fits; the hint names the newest runs.
        """
        wanted = text.strip()
        if wanted == "last":
            newest = self._runs("ORDER BY id DESC LIMIT 1")
            if newest:
                return newest[0]
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
        newest_names = [run.name for run in reversed(self._runs("ORDER BY id DESC LIMIT 5"))]
        hint = f"The newest are: {', '.join(newest_names)}." if newest_names else "The store has no runs yet."
        raise RunNotFound(f"there is no run {text!r}", hint)

    def metrics(self, run_id: int, after: int = 0, keys: Sequence[str] | None = None) -> list[MetricPoint]:
        """Metric values of a run with an id above `after`, in order of arrival."""
        wanted, parameters = _within("AND key", keys)
        query = f"{_METRIC} WHERE run_id = :run AND id > :after {wanted} ORDER BY id"
        return self._all(to_metric, query, {"run": run_id, "after": after, **parameters})

    def last_metric(self) -> int:
        """Id of the newest metric value of any run; 0 where there is none."""
        return int(self._one("SELECT max(id) FROM metric") or 0)

    def metric_keys(self, run_id: int) -> list[str]:
        """Names of a run's metrics. One step into the index for each, however many values it has."""
        keys: list[str] = []
        following = "SELECT min(key) FROM metric WHERE run_id = :run AND key > :key"
        while (key := self._one(following, {"run": run_id, "key": keys[-1] if keys else ""})) is not None:
            keys.append(key)
        return keys

    def metric_count(self, run_id: int) -> int:
        """How many values a run has logged."""
        return int(self._one("SELECT count(*) FROM metric WHERE run_id = :run", {"run": run_id}))

    def metric_points(
        self, run_id: int, key: str, *, limit: int, after: int = 0, upto: int | None = None
    ) -> Sequence[Point]:
        """Values of one metric, in order of arrival.

        Args:
            run_id: whose.
            key: name of the metric.
            limit: at most so many of them.
            after: id of the last value that is known.
            upto: id of the last value that is wanted; None: the newest.
        """
        end = "" if upto is None else "AND id <= :upto"
        query = f"{_POINT} WHERE run_id = :run AND key = :key AND id > :after {end} ORDER BY id LIMIT :limit"
        parameters = {"run": run_id, "key": key, "after": after, "limit": limit}
        return self._points(query, parameters if upto is None else {**parameters, "upto": upto})

    def metric_stretch(
        self, run_id: int, key: str, first: Place, last: Place, *, limit: int
    ) -> Sequence[Point]:
        """Values of one metric from one of them to another, ascending by step; at most so many."""
        return self.metric_points(run_id, key, after=first[0] - 1, upto=last[0], limit=limit)

    def last_metric_point(self, run_id: int, key: str) -> Point:
        """The newest value of a metric that has one."""
        query = f"{_POINT} WHERE run_id = :run AND key = :key ORDER BY id DESC LIMIT 1"
        return self._points(query, {"run": run_id, "key": key})[0]

    def metric_extremes(self, run_id: int, *, after: int, upto: int) -> dict[str, list[Point]]:
        """Of each metric's values with an id above `after` and at most `upto` the least and the greatest, and
        one that was not finite if there is any, in order of arrival.

        Goes through what every run wrote in between. SQLite only: a column beside `min` or `max` comes from
        that very row there.
        """
        among = "FROM metric WHERE +run_id = :run AND id > :after AND id <= :upto"
        parameters = {"run": run_id, "after": after, "upto": upto}
        parts = [
            f"SELECT key, id, step, epoch, time, {which}(value), count(*) > count(value) {among} GROUP BY key"
            for which in ("min", "max")
        ]
        rows = self.database.select(" UNION ALL ".join(parts), parameters).values
        if any(row[-1] for row in rows):
            gaps = f"SELECT key, min(id), step, epoch, time, value, 0 {among} AND value IS NULL GROUP BY key"
            rows = [*rows, *self.database.select(gaps, parameters).values]
        found: dict[str, dict[int, Point]] = {}
        for key, *point, _ in rows:
            found.setdefault(key, {})[point[0]] = tuple(point)
        return {key: [points[place] for place in sorted(points)] for key, points in found.items()}

    def _points(self, query: str, parameters: Mapping[str, Any]) -> Sequence[Point]:
        return self.database.select(query, parameters).values  # type: ignore[return-value]

    def new_metrics(
        self, run_ids: Collection[int], *, after: int, upto: int
    ) -> dict[tuple[int, str], list[Point]]:
        """Values with an id above `after` and at most `upto`, in order of arrival, by run and key.

        Looks through what every run wrote in between: meant for what is new since the last time.
        """
        # The plus keeps SQLite from going through everything that the runs ever wrote, by its index.
        wanted, parameters = _within("AND +run_id", run_ids)
        query = (
            "SELECT run_id, key, id, step, epoch, time, value FROM metric "
            f"WHERE id > :after AND id <= :upto {wanted} ORDER BY id"
        )
        found: dict[tuple[int, str], list[Point]] = {}
        for run_id, key, *point in self.database.select(
            query, {"after": after, "upto": upto, **parameters}
        ).values:
            found.setdefault((run_id, key), []).append(tuple(point))
        return found

    def evaluations(self, run_id: int, after: int = 0) -> list[Evaluation]:
        """Evaluations of a run's model, in order."""
        query = "SELECT * FROM evaluation WHERE run_id = :run AND id > :after ORDER BY id"
        return self._all(to_evaluation, query, {"run": run_id, "after": after})

    def scores(self, run_id: int, after: int = 0) -> list[Evaluation]:
        """Evaluations of a run's model on the validation split, in order, without their ranks."""
        return self._scores(
            "WHERE run_id = :run AND id > :after AND split = 'validation' ORDER BY id",
            {"run": run_id, "after": after},
        )

    def all_evaluations(self, after: int = 0) -> list[Evaluation]:
        """Evaluations of all models and baselines, in order, without their ranks (which are large)."""
        return self._scores("WHERE id > :after ORDER BY id", {"after": after})

    def last_evaluation(self) -> int:
        """Id of the newest evaluation; 0 where there is none."""
        return int(self._one("SELECT max(id) FROM evaluation") or 0)

    def baseline_evaluations(self) -> list[Evaluation]:
        """Evaluations of baselines, in order, without their ranks."""
        return self._scores("WHERE run_id IS NULL ORDER BY id")

    def test_evaluations(self, run_ids: Collection[int] | None = None) -> list[Evaluation]:
        """Evaluations of models, or of some runs', on the test split, in order, without their ranks."""
        chosen, parameters = _within("AND run_id", run_ids)
        return self._scores(f"WHERE split = 'test' AND run_id IS NOT NULL {chosen} ORDER BY id", parameters)

    def list_scores(self, run_ids: Collection[int] | None = None) -> list[Evaluation]:
        """The validation scores that a list of runs needs: of each run, or of some, the newest and the one at
        its best epoch, which may be the same; in order, without ranks."""
        # One look into the index for each run, from its newest evaluation on; history stays unread.
        newest = "SELECT max(id) FROM evaluation WHERE run_id = run.id AND split = 'validation'"
        chosen, parameters = _within("WHERE run.id", run_ids)
        ids = " UNION ".join(
            f"SELECT ({query}) FROM run {chosen}"
            for query in (newest, f"{newest} AND epoch = run.best_epoch")
        )
        return self._scores(f"WHERE id IN ({ids}) ORDER BY id", parameters)

    def best_evaluation(self, run: Run) -> Evaluation | None:
        """The evaluation at the run's best epoch, ranks included."""
        if run.progress.best_epoch is None:
            return None
        query = (
            "SELECT * FROM evaluation WHERE run_id = :run AND split = 'validation' AND epoch = :epoch "
            "ORDER BY id DESC LIMIT 1"
        )
        found = self._all(to_evaluation, query, {"run": run.id, "epoch": run.progress.best_epoch})
        return found[0] if found else None

    def baselines(self, protocol_id: str) -> list[Evaluation]:
        """The baselines' evaluations under one protocol, weakest first (by Hit@5)."""
        query = (
            "SELECT * FROM evaluation WHERE protocol_id = :protocol AND baseline IS NOT NULL "
            "ORDER BY hit5, id"
        )
        return self._all(to_evaluation, query, {"protocol": protocol_id})

    def protocols(self) -> list[Protocol]:
        """Every protocol that something was judged under."""
        return self._all(to_protocol, "SELECT * FROM protocol ORDER BY id")

    def query_facts(self, protocol_id: str) -> dict[str, QueryFact]:
        """What is known of the queries of a protocol, by name."""
        query = "SELECT * FROM query_fact WHERE protocol_id = :protocol"
        return {fact.name: fact for fact in self._all(to_query_fact, query, {"protocol": protocol_id})}

    def checkpoints(self, run_id: int) -> list[Checkpoint]:
        """Checkpoints of a run that still have a file, oldest first."""
        query = "SELECT * FROM checkpoint WHERE run_id = :run ORDER BY id"
        return self._all(to_checkpoint, query, {"run": run_id})

    def latencies(self, after: int = 0, run_id: int | None = None) -> list[Latency]:
        """Measurements with an id above `after`, of all runs or of one, oldest first."""
        chosen = "" if run_id is None else "AND run_id = :run"
        query = f"SELECT * FROM latency WHERE id > :after {chosen} ORDER BY id"
        return self._all(to_latency, query, _of_run(run_id, after))

    def promotions(self, after: int = 0) -> list[Promotion]:
        """The log of promotions, oldest first; the last one of an alias is in force."""
        query = "SELECT * FROM promotion WHERE id > :after ORDER BY id"
        return self._all(to_promotion, query, {"after": after})

    def events(self, after: int = 0, run_id: int | None = None, limit: int | None = None) -> list[Event]:
        """Events with an id above `after`, oldest first; with `limit`, only the newest of them."""
        chosen = "" if run_id is None else "AND run_id = :run"
        parameters = _of_run(run_id, after)
        query = f"SELECT * FROM event WHERE id > :after {chosen}"
        if limit is None:
            return self._all(to_event, f"{query} ORDER BY id", parameters)
        newest = self._all(to_event, f"{query} ORDER BY id DESC LIMIT :limit", {**parameters, "limit": limit})
        return newest[::-1]

    def events_of_kind(self, *kinds: str, after: int = 0) -> list[Event]:
        """Events of some kinds with an id above `after`, of all runs and of none, oldest first."""
        wanted, parameters = _within("AND kind", kinds)
        query = f"SELECT * FROM event WHERE id > :after {wanted} ORDER BY id"
        return self._all(to_event, query, {"after": after, **parameters})

    def device_samples(self, after: int = 0, since: float = 0.0) -> list[DeviceSample]:
        """Device readings newer than the id `after` and the time `since`."""
        query = "SELECT * FROM device_sample WHERE id > :after AND time >= :since ORDER BY id"
        return self._all(to_device_sample, query, {"after": after, "since": since})

    def pending_controls(self) -> list[Control]:
        """Requests that no engine has acknowledged yet."""
        return self._all(to_control, "SELECT * FROM control WHERE acknowledged IS NULL ORDER BY id")


def _of_run(run_id: int | None, after: int) -> dict[str, Any]:
    return {"after": after} if run_id is None else {"after": after, "run": run_id}


def _within(column: str, values: Collection[object] | None) -> tuple[str, dict[str, Any]]:
    """A condition that a column has one of some values, with its parameters; none for None."""
    if values is None:
        return "", {}
    parameters = {f"one{place}": value for place, value in enumerate(values)}
    return f"{column} IN ({', '.join(f':{name}' for name in parameters)})", parameters
