"""Notices that a resumed run has dropped rows which it writes again (`lvmtui.store.writer.Writer.rewind`)."""

from __future__ import annotations

from lvmtui.remote.agent.store import Store


class Rewinds:
    """Runs that a new attempt has taken up, until it is known whether rows of them are gone.

    An engine drops what is behind its checkpoint once, some time after it has begun a new attempt and before
    its first step.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun: dict[int, int | None] = {}
        """Watched runs -> their step when they went on; None: they have not."""
        self._known: set[int] = set()
        """Watched runs of which the client has nothing but what was said here."""
        self._scores: dict[int, int] = {}
        """Runs -> id of the newest evaluation on validation that was said."""
        self._points: dict[int, dict[str, int]] = {}
        """Runs -> metric -> id of the newest value that was said."""
        self._told: dict[int, int | None] = {}
        """Runs of which the client was told to forget all -> where the stream was behind that; None: there
        still."""

    def tell(self, run: int) -> dict[str, object]:
        """Have the client forget a run: the message for it."""
        self._told[run] = None
        return {"m": "rewind", "run": run}

    def sent(self, upto: int) -> None:
        """Take note that all that was told so far ends at this byte of the stream."""
        for run, place in self._told.items():
            if place is None:
                self._told[run] = upto

    def is_outdated(self, run: int, taken: int) -> bool:
        """Whether what a client says that it has of a run is from before it was told to forget it.

        Args:
            run: its id.
            taken: bytes of the stream that the client had taken in when it said so.
        """
        place = self._told.get(run, 0)
        return place is None or taken < place

    @property
    def watched(self) -> list[int]:
        """Runs that may drop rows soon, or have just done so."""
        return list(self._begun)

    def watch(self, run: int, *, is_known: bool) -> None:
        """Look after a run.

        Args:
            run: its id.
            is_known: whether all that the client has of it was said here.
        """
        self._begun[run] = None
        (self._known.add if is_known else self._known.discard)(run)

    def said_score(self, run: int, number: int) -> None:
        """Remember an evaluation that was said."""
        self._scores[run] = max(number, self._scores.get(run, 0))

    def said_points(self, run: int, key: str, number: int) -> None:
        """Remember the newest value of a metric that was said."""
        self._points.setdefault(run, {})[key] = number

    def forget(self, run: int) -> None:
        """Be done with a run: nothing that was said of it counts any more."""
        self._begun.pop(run, None)
        self._known.discard(run)
        self._scores.pop(run, None)
        self._points.pop(run, None)

    def has_dropped(self, run: int, status: str, step: int) -> bool:
        """Whether rows that were said of a watched run are gone, or may be.

        Args:
            run: its id.
            status: where it stands now.
            step: its step now.
        """
        if self.is_missing(run, self._points.get(run, {}), self._scores.get(run, 0)):
            return True
        begun = self._begun.get(run)
        is_on = status in ("running", "stopping")
        if is_on and begun is None:
            self._begun[run] = step
        if status == "done" or (is_on and begun is not None and step != begun):
            del self._begun[run]
            return run not in self._known
        return False

    def is_missing(self, run: int, points: dict[str, int], score: int) -> bool:
        """Whether the store lacks a value of a metric, or an evaluation, that a client has.

        Args:
            run: whose.
            points: metric -> id of the newest value; 0: none.
            score: id of the newest evaluation; 0: none.
        """
        query = "SELECT count(*) FROM metric WHERE id = :id AND run_id = :run AND key = :key"
        for key, number in points.items():
            if number and not self._store.one(query, {"id": number, "run": run, "key": key}):
                return True
        query = "SELECT count(*) FROM evaluation WHERE id = :id AND run_id = :run"
        return bool(score) and not self._store.one(query, {"id": score, "run": run})
