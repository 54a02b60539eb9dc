"""One run that is looked at: what of it was told, what is to be told, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lvmtui.remote.agent.curves import FIRST_KEYS, OVERLAID_KEYS, History, metric_keys
from lvmtui.remote.agent.listing import cursor
from lvmtui.remote.agent.logs import Log
from lvmtui.remote.agent.packing import MOST_POINTS, Point, pack
from lvmtui.remote.agent.ranks import Ranks
from lvmtui.remote.agent.rows import Rows
from lvmtui.remote.agent.store import Row, Store
from lvmtui.remote.agent.wire import Message

EVENTS = 200
"""Newest events of a run that are told."""

SCORE_ROWS = 200
"""Evaluations in one piece."""

_KEY_CHARACTERS, _MOST_KEYS = 200, 2_000
"""Of what a client says that it knows of a run's metrics: longer keys, and more of them, are none."""

_PLAN, _OVERLAID, _LOG, _FIRST, _TABLES, _OTHERS, _ENDS, _RANKS, _DONE = 0, 1, 10, 20, 30, 40, 50, 60, 70
"""How much the parts of a run are wanted, 0 most."""


class _Part(NamedTuple):
    """Something that is to be told."""

    wanted: int
    tell: Callable[[], bool]
    """Tells a piece of it, and says whether that was the last."""
    key: str = ""
    """The metric that it is."""


def curve_messages(
    run: int, found: Mapping[str, Sequence[Point]], level: str, *, thinned: bool
) -> list[Message]:
    """Values of metrics as messages."""
    keys = {key: pack(points[:MOST_POINTS]) for key, points in found.items() if points}
    if not keys:
        return []
    message: Message = {"m": "curve", "run": run, "keys": keys, "level": level, "thinned": thinned}
    more = {key: points[MOST_POINTS:] for key, points in found.items() if len(points) > MOST_POINTS}
    return [message, *curve_messages(run, more, level, thinned=thinned)]


class LookedRun:
    """A run that a client looks at, or has looked at."""

    def __init__(self, store: Store, rows: Rows, ranks: Ranks, run: int) -> None:
        self._store = store
        self._rows = rows
        self._ranks = ranks
        self.run = run
        self.is_new = True
        """Whether what the client says that it has was not looked up yet."""
        self.points: dict[str, int] = {}
        """Metric -> id of the last value that was told."""
        self.score = 0
        """Id of the last evaluation that was told of all."""
        self.live: set[str] = set()
        """Metrics that were told to their end: what is new of them is told as it comes."""
        self._level = ""
        self._left: list[_Part] = []
        """What is to be told, the most wanted first."""
        self._out: list[Message] = []
        self._histories: dict[str, History] = {}
        self._log: Log | None = None
        self._checkpoints: list[Row] | None = None
        self._told: dict[str, int] = {}
        """Metric -> id, as was said in `curved`."""
        self._told_score = 0
        self._position: int | None = 0
        """Byte of the stream behind the last `curved`, `scored` or `log`; None: it is on its way."""

    def turn_to(self, entry: Mapping[str, Any], taken: int, *, is_again: bool) -> None:
        """Be looked at, or go on being so.

        Args:
            entry: of the message `want`.
            taken: bytes of the stream that the client had taken in when it said so.
            is_again: whether it was not looked at before this.
        """
        level = "all" if entry.get("level") == "all" else "few"
        keys = entry.get("keys")
        known: dict[str, Any] = keys if isinstance(keys, dict) else {}
        has = {key: cursor(known, key) for key in known if len(key) <= _KEY_CHARACTERS}
        self._ranks.has(entry.get("ranks"))
        # Where all that was told has arrived and the client has less, it has let go of it.
        has_arrived = self._position is not None and taken >= self._position
        score = cursor(entry, "scores") if level == "all" else None
        lacks = has_arrived and self._take_back(has, score)
        if not is_again and level == self._level and not lacks:
            return
        grown = level != self._level
        self._level = level
        if level == "few":
            self.live &= set(OVERLAID_KEYS)
        elif (is_again or grown) and (has_arrived or self._log is None):
            self._begin_log(entry.get("log"))
        self._plan()

    def _take_back(self, has: Mapping[str, int], score: int | None) -> bool:
        """Begin where the client is with what is not told as it comes; whether it lacks what was told.

        Args:
            has: metric -> id of the last value that it has.
            score: id of the evaluation up to which it has all; None: only overlaid metrics are spoken of.
        """
        said = has.keys() | self.points.keys()
        said = said if score is not None else said & set(OVERLAID_KEYS)
        lacking = {key for key in self.live & said if has.get(key, 0) < self._told.get(key, 0)}
        self.live -= lacking
        begun = {part.key for part in self._left}
        for key in said - self.live - begun:
            if key in self.points or len(self.points) < _MOST_KEYS:
                self.points[key] = has.get(key, 0)
        if score is not None and (not self._told_score or score < self._told_score):
            lacks_scores = score < self._told_score
            self.score, self._told_score = score, 0
            return bool(lacking) or lacks_scores
        return bool(lacking)

    def turn_away(self) -> None:
        """Be no longer looked at."""
        self.live.clear()
        self._left.clear()
        self._histories.clear()
        self._level = ""

    def begin_again(self) -> None:
        """Tell everything anew: what was told was dropped."""
        self.points.clear()
        self.live.clear()
        self._told.clear()
        self.score = self._told_score = 0
        self._checkpoints = None
        self.is_new = False
        if self._level:
            self._plan()

    def fall_behind(self) -> None:
        """Look up what is new, where it is too much to be told as it comes."""
        self.live.clear()
        if self._level:
            self._plan()

    def _begin_log(self, sizes: Any) -> None:
        size = cursor({"size": sizes[0]}, "size") if isinstance(sizes, list) and sizes else 0
        folder = self._store.one("SELECT folder FROM run WHERE id = :run", {"run": self.run})
        self._log = Log(self._store.root, folder, self.run, size) if folder else None

    def _plan(self) -> None:
        self._histories.clear()
        parts = [_Part(_PLAN, self._plan_curves), _Part(_ENDS, self._end_curves), _Part(_DONE, self._end)]
        if self._level == "all":
            parts += [
                _Part(_LOG, self._tell_log),
                _Part(_TABLES, self._tell_tables),
                _Part(_RANKS, self._tell_ranks),
            ]
        self._left = sorted(parts, key=_wanted)

    def _plan_curves(self) -> bool:
        for key in metric_keys(self._store, self.run):
            if key not in self.live and self._wants(key):
                place = FIRST_KEYS.index(key) if key in FIRST_KEYS else None
                first = _OVERLAID if key in OVERLAID_KEYS else _FIRST
                wanted = _OTHERS if place is None else first + place
                self._left.append(_Part(wanted, lambda key=key: self._tell_curve(key), key))  # type: ignore[misc]
        self._left.sort(key=_wanted)
        return True

    def _wants(self, key: str) -> bool:
        return self._level == "all" or key in OVERLAID_KEYS

    def _awaits(self, wanted: int) -> bool:
        return any(part.wanted == wanted for part in self._left)

    @property
    def wanted(self) -> int | None:
        """How much the next piece is wanted, 0 most; None: nothing is left to tell."""
        return self._left[0].wanted if self._left else None

    def next(self) -> list[Message]:
        """The next piece."""
        self._out = []
        part = self._left[0]
        if part.tell():
            self._left.remove(part)
        return self._out

    def _tell_curve(self, key: str) -> bool:
        history = self._histories.get(key)
        if history is None:
            after = self.points.get(key, 0)
            history = self._histories[key] = History(self._store, self.run, key, after=after)
        with self._store.moment():
            points = history.read() if not history.is_over else []
            if history.is_over:
                # What has come in the meantime.
                rest = History(self._store, self.run, key, after=history.upto, full=MOST_POINTS)
                while not rest.is_over:
                    points += rest.read()
                self.points[key] = max(self.points.get(key, 0), rest.upto)
                self.live.add(key)
        self._out += curve_messages(self.run, {key: points}, "history", thinned=history.is_thinned)
        return history.is_over

    def _end_curves(self) -> bool:
        self._out += self._curved()
        return True

    def _curved(self) -> list[Message]:
        upto = {key: number for key, number in self.points.items() if key in self.live}
        if upto == self._told:
            return []
        self._told, self._position = upto, None
        return [{"m": "curved", "run": self.run, "upto": dict(upto)}]

    def _tell_log(self) -> bool:
        self._out += self._read_log()
        return True

    def _read_log(self) -> list[Message]:
        messages = self._log.read() if self._log else []
        if messages:
            self._position = None
        return messages

    def _tell_tables(self) -> bool:
        where = f"WHERE run_id = :run AND id > :after ORDER BY id LIMIT {SCORE_ROWS}"
        scores = self._store.rows("evaluation", where, {"run": self.run, "after": self.score})
        if scores:
            self.score = scores[-1][self._store.columns("evaluation").index("id")]
            self._out += self._rows.replace("evaluation", scores)
        if len(scores) == SCORE_ROWS:
            return False
        self._out += self._scored()
        self._out += self._new_checkpoints()
        events = f"WHERE run_id = :run ORDER BY id DESC LIMIT {EVENTS}"
        self._out += self._rows.replace("event", self._store.rows("event", events, {"run": self.run})[::-1])
        return True

    def _scored(self) -> list[Message]:
        if self.score == self._told_score:
            return []
        self._told_score, self._position = self.score, None
        return [{"m": "scored", "run": self.run, "upto": self.score}]

    def _new_checkpoints(self) -> list[Message]:
        rows = self._store.rows("checkpoint", "WHERE run_id = :run ORDER BY id", {"run": self.run})
        if rows == self._checkpoints:
            return []
        self._checkpoints = rows
        return self._rows.all("checkpoint", rows, self.run)

    def _tell_ranks(self) -> bool:
        self._out += self._ranks.of_run(self.run)
        return True

    def _end(self) -> bool:
        self._out.append({"m": "detailed", "run": self.run})
        return True

    def news(self, is_changed: bool, has_moved_best: bool) -> list[Message]:
        """What is new but for curves and the log.

        Args:
            is_changed: whether the run's row has changed.
            has_moved_best: whether another evaluation is the best now.
        """
        if self._level != "all" or self._awaits(_TABLES):
            return []
        newest = self._store.one("SELECT max(id) FROM evaluation WHERE run_id = :run", {"run": self.run}) or 0
        # A best epoch may be named before its evaluation is there, which does not change the run's row.
        if not is_changed and newest <= self.score:
            return []
        may_be_best = has_moved_best or newest > self.score
        if may_be_best and not self._awaits(_RANKS):
            self._left = sorted([*self._left, _Part(_RANKS, self._tell_ranks)], key=_wanted)
        # The list tells every new evaluation.
        self.score = max(self.score, newest)
        return self._new_checkpoints()

    def new_points(self, found: Mapping[str, Sequence[Point]]) -> list[Message]:
        """New values of metrics, as they come."""
        fresh: dict[str, Sequence[Point]] = {}
        begun = {part.key for part in self._left}
        for key, points in found.items():
            if key not in self.live:
                # A metric that was not there when the curves were planned is new.
                if key in begun or key in self.points or self._awaits(_PLAN) or not self._wants(key):
                    continue
                self.live.add(key)
            new = [point for point in points if point[0] > self.points.get(key, 0)]
            if new:
                self.points[key] = new[-1][0]
                fresh[key] = new
        return curve_messages(self.run, fresh, "live", thinned=False)

    def new_log(self) -> list[Message]:
        """New lines of the log."""
        return [] if self._level != "all" or self._awaits(_LOG) else self._read_log()

    def cursors(self) -> list[Message]:
        """How far it was told, where that has moved."""
        if self._left:
            return []
        return [*self._curved(), *(self._scored() if self._level == "all" else [])]

    def sent(self, upto: int) -> None:
        """Take note that all that was told so far ends at this byte of the stream."""
        if self._position is None:
            self._position = upto


def _wanted(part: _Part) -> int:
    return part.wanted
