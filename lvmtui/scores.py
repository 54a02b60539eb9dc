"""The evaluations that lists need, kept as they come in: each run's best and newest, and the baselines.

A run's other evaluations are read only while it is looked at (`lvmtui.details`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from lvmtui.reading import baselines_by_protocol
from lvmtui.store.records import Evaluation, Protocol, Run

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader


RUNS_AT_ONCE = 500
"""Runs that one query names; SQLite takes 999 parameters everywhere."""


class Scores:
    """Best and newest evaluation on validation of every run, its newest on test, baselines, protocols."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._best: dict[int, Evaluation] = {}
        self._last: dict[int, Evaluation] = {}
        self._test: dict[int, Evaluation] = {}
        self._baseline_rows: list[Evaluation] = []
        self._head: int | None = None
        """Id of the newest evaluation that was taken in."""
        self._without_tests = True
        self.baselines: Mapping[str, tuple[Evaluation, ...]] = MappingProxyType({})
        """Protocol id -> its baselines, weakest first."""
        self.protocols: Mapping[str, Protocol] = MappingProxyType({})

    def best(self, run: Run) -> Evaluation | None:
        """The evaluation at the run's best epoch (without ranks)."""
        found = self._best.get(run.id)
        return found if found is not None and found.epoch == run.progress.best_epoch else None

    def last(self, run_id: int) -> Evaluation | None:
        """The run's newest evaluation on validation (without ranks)."""
        return self._last.get(run_id)

    def test(self, run_id: int) -> Evaluation | None:
        """The run's newest evaluation on test (without ranks)."""
        return self._test.get(run_id)

    def read(self, runs: Mapping[int, Run], changed: Collection[int]) -> set[int]:
        """Take in what is new.

        Args:
            runs: all runs.
            changed: ids of those whose row has changed, and with it perhaps the best epoch.

        Returns:
            Ids of the runs that there is something new about.
        """
        if self._head is None:
            return self._read_first(runs)
        new = self._reader.all_evaluations(after=self._head)
        if new:
            self._head = new[-1].id
        news: set[int] = set()
        for evaluation in new:
            if evaluation.run_id is not None:
                self._take(evaluation, runs.get(evaluation.run_id))
                news.add(evaluation.run_id)
        baselines = [evaluation for evaluation in new if evaluation.run_id is None]
        if baselines:
            self._baseline_rows += baselines
            self._set_baselines()
            news.update(runs)
        self._read_protocols(new)
        for run_id in changed:
            run = runs.get(run_id)
            if run is not None and run.progress.best_epoch is not None and self.best(run) is None:
                self.read_again(run)
        return news

    def read_tests(self) -> set[int]:
        """Look through all evaluations for those on test, once; new ones come with `read`.

        Returns:
            Ids of the runs that have some.
        """
        if not self._without_tests:
            return set()
        self._without_tests = False
        # What has come in since the first reading is newer.
        self._test = {
            item.run_id: item for item in self._reader.test_evaluations() if item.run_id
        } | self._test
        return set(self._test)

    def read_again(self, run: Run) -> None:
        """Read a run's evaluations anew: they were rewritten."""
        self.read_all_again({run.id: run})

    def read_all_again(self, runs: Mapping[int, Run]) -> None:
        """The same of several runs."""
        wanted = list(runs)
        for place in range(0, len(wanted), RUNS_AT_ONCE):
            chosen = wanted[place : place + RUNS_AT_ONCE]
            for run_id in chosen:
                self._last.pop(run_id, None)
                self._best.pop(run_id, None)
            for evaluation in self._reader.list_scores(chosen):
                self._take(evaluation, runs.get(evaluation.run_id or 0))

    def read_tests_again(self, run_ids: Collection[int]) -> None:
        """Look through some runs' evaluations for those on test, if `read_tests` has done so before."""
        if self._without_tests:
            return
        for run_id in run_ids:
            self._test.pop(run_id, None)
        wanted = list(run_ids)
        for place in range(0, len(wanted), RUNS_AT_ONCE):
            for evaluation in self._reader.test_evaluations(wanted[place : place + RUNS_AT_ONCE]):
                self._take(evaluation, None)

    def read_baselines_again(self) -> None:
        """Read the baselines anew: some were put before others."""
        self._baseline_rows = self._reader.baseline_evaluations()
        self._set_baselines()
        self._read_protocols(self._baseline_rows)

    def read_protocols_again(self) -> None:
        """Read the protocols anew: more is known of one."""
        self.protocols = MappingProxyType({item.id: item for item in self._reader.protocols()})

    def forget(self, run_ids: Collection[int]) -> None:
        """Let go of runs that have left the store."""
        for kept in (self._best, self._last, self._test):
            for run_id in run_ids:
                kept.pop(run_id, None)

    def _read_first(self, runs: Mapping[int, Run]) -> set[int]:
        self._head = self._reader.last_evaluation()
        if not self._head:
            return set()
        for evaluation in self._reader.list_scores():
            if evaluation.run_id is not None:
                self._take(evaluation, runs.get(evaluation.run_id))
        self._baseline_rows = self._reader.baseline_evaluations()
        self._set_baselines()
        self._read_protocols([*self._last.values(), *self._baseline_rows])
        return set(runs)

    def _take(self, evaluation: Evaluation, run: Run | None) -> None:
        if evaluation.run_id is None:
            return
        if evaluation.split == "test":
            self._test[evaluation.run_id] = evaluation
        elif evaluation.split == "validation":
            self._last[evaluation.run_id] = evaluation
            if run is not None and evaluation.epoch == run.progress.best_epoch:
                self._best[evaluation.run_id] = evaluation

    def _set_baselines(self) -> None:
        self.baselines = MappingProxyType(baselines_by_protocol(self._baseline_rows))

    def _read_protocols(self, evaluations: Collection[Evaluation]) -> None:
        if not {evaluation.protocol_id for evaluation in evaluations} <= self.protocols.keys():
            self.read_protocols_again()
