"""What the store's events say of audits and of looks at the test split, kept as they come in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lvmtui.findings import KIND, Finding, finding_of, worst_first
from lvmtui.store import looks
from lvmtui.store.records import Event, Run

EVENT_KINDS = (KIND, looks.KIND)


class Audits:
    """Findings on runs and on data, and how often each test split was looked at."""

    def __init__(self) -> None:
        self._of_run: dict[int, dict[str, Finding]] = {}
        self._of_data: dict[str, tuple[float, list[Finding]]] = {}
        """Fingerprint -> when its newest audit was made, and that audit."""
        self.data: Mapping[str, tuple[Finding, ...]] = MappingProxyType({})
        """Fingerprint -> every outcome of its newest audit, worst first."""
        self.test_looks: Mapping[str, int] = MappingProxyType({})
        """Fingerprint -> looks at a test split of it."""

    def add(self, events: list[Event]) -> tuple[set[int], set[str]]:
        """Take in events of `EVENT_KINDS`, in order.

        Returns:
            The runs and the fingerprints that there is something new about.
        """
        runs: set[int] = set()
        fingerprints: set[str] = set()
        counts = dict(self.test_looks)
        for event in events:
            if event.kind == looks.KIND:
                data = str(event.evidence.get("data", ""))
                counts[data] = counts.get(data, 0) + 1
            elif event.run_id is not None:
                finding = finding_of(event)
                self._of_run.setdefault(event.run_id, {})[finding.check] = finding
                runs.add(event.run_id)
            else:
                fingerprints.add(self._add_to_data(event))
        if counts != self.test_looks:
            self.test_looks = MappingProxyType(counts)
        if fingerprints:
            self.data = MappingProxyType(
                {key: worst_first(findings) for key, (_, findings) in self._of_data.items()}
            )
        return runs, fingerprints

    def _add_to_data(self, event: Event) -> str:
        finding = finding_of(event)
        made, findings = self._of_data.get(finding.data, (-1.0, []))
        if event.time > made:
            self._of_data[finding.data] = event.time, [finding]
        elif event.time == made:
            findings.append(finding)
        return finding.data

    def wrong_with(self, run: Run) -> tuple[Finding, ...]:
        """What is wrong with a run and its data, worst first."""
        own = self._of_run.get(run.id, {}).values()
        found = [*own, *self.data.get(run.data_fingerprint or "", ())]
        return worst_first(finding for finding in found if not finding.passed)
