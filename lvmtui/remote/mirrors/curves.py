"""What a host's runs have logged, written into its mirror in order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lvmtui.history import OVERLAID_KEYS
from lvmtui.remote.agent.packing import Point, unpack
from lvmtui.remote.agent.wire import Message, WireError
from lvmtui.remote.mirrors.checks import LARGEST_TIME, LARGEST_WHOLE, MOST_RUNS, an_object, number_of, whole
from lvmtui.remote.mirrors.session import Session
from lvmtui.store.foreign import LARGEST, clean_text

MOST_KEYS = 500
"""Metrics of a run; those beyond are left out."""

LONGEST_KEY = 200

MOST_POINTS = 200_000
"""Values of a run; with more of them, all are thinned."""

LONG = 4_000
"""Values of a metric that are left as they are."""

_WITH_RANKS = (
    "SELECT id - ?2 FROM evaluation WHERE (run_id = ?1 OR run_id IS NULL) AND length(ranks) > 0 "
    "ORDER BY id DESC LIMIT 1000"
)

_COLUMNS = "run_id, key, step, epoch, time, value, origin"
_INSERT = f"INSERT OR IGNORE INTO metric ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"


def wanted(session: Session, number: int, level: str) -> dict[str, Any]:
    """What goes into `want` for one run; from here on that is what the agent takes for known."""
    run_id = session.id(number)
    _know(session, run_id)
    session.generations[run_id] = session.generation(run_id) or 0
    keys = dict(session.all("SELECT key, upto FROM mirror_curve WHERE run_id = ? AND upto > 0", (run_id,)))
    found: dict[str, Any] = {"run": number, "level": level}
    if level == "few":
        return {**found, "keys": {key: keys[key] for key in OVERLAID_KEYS if key in keys}}
    scores, log = session.all("SELECT scores, log FROM mirror_run WHERE run_id = ?", (run_id,))[0]
    with_ranks = session.all(_WITH_RANKS, (run_id, session.id(0)))
    return {**found, "keys": keys, "scores": scores, "log": [log], "ranks": [key for (key,) in with_ranks]}


def rewind(session: Session, message: Message) -> bool:
    """Forget what a resumed run had written: it comes anew."""
    run_id = session.id(number_of(message.get("run")))
    for table in ("metric", "evaluation", "latency", "checkpoint", "mirror_curve"):
        session.run(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
    _know(session, run_id)
    generation = session.tick()
    session.run(
        "UPDATE mirror_run SET generation = ?, scores = 0, points = 0 WHERE run_id = ?", (generation, run_id)
    )
    session.generations[run_id] = generation
    for what in ("metric", "evaluation", "latency"):
        session.tell(what, [run_id])
    return True


def curve(session: Session, message: Message) -> bool:
    """Keep values of a run's metrics."""
    run_id = session.id(number_of(message.get("run")))
    given = an_object(message.get("keys"), "the curves of a run")
    if run_id not in session.generations and message.get("level") == "history":
        # Nobody has said yet that it is looked at: then it comes from its beginning.
        _know(session, run_id)
        session.generations[run_id] = session.generation(run_id) or 0
    known = {key for (key,) in session.all("SELECT key FROM mirror_curve WHERE run_id = ?", (run_id,))}
    added = 0
    for key, packed in given.items():
        name = _name(session, key, known)
        if name is None:
            continue
        known.add(name)
        added += _add(session, run_id, name, unpack(packed))
        if message.get("thinned") is True:
            _note(session, run_id, name, thinned=True)
        else:
            _note(session, run_id, name)
    if not added:
        return False
    _know(session, run_id)
    session.run("UPDATE mirror_run SET points = points + ? WHERE run_id = ?", (added, run_id))
    if message.get("level") == "zoom":
        session.tell("zoom", [run_id])
    if session.one("SELECT points FROM mirror_run WHERE run_id = ?", (run_id,)) > MOST_POINTS:
        _thin(session, run_id)
    return True


def curved(session: Session, message: Message) -> bool:
    """Remember up to where a run's metrics are known, unless somebody else has forgotten them meanwhile."""
    run_id = session.id(number_of(message.get("run")))
    given = an_object(message.get("upto"), "how far curves were sent")
    if session.is_ours(run_id):
        known = {key for (key,) in session.all("SELECT key FROM mirror_curve WHERE run_id = ?", (run_id,))}
        for key, upto in given.items():
            name = _name(session, key, known)
            if name is not None:
                known.add(name)
                _note(session, run_id, name, upto=whole(upto))
    return False


def scored(session: Session, message: Message) -> bool:
    """Remember up to where a run's evaluations are known."""
    run_id = session.id(number_of(message.get("run")))
    upto = whole(message.get("upto"))
    if session.is_ours(run_id):
        session.run("UPDATE mirror_run SET scores = max(scores, ?) WHERE run_id = ?", (upto, run_id))
    return False


def _know(session: Session, run_id: int) -> None:
    """
    Raises:
        WireError: something is known of more runs than are kept.
    """
    know = "INSERT OR IGNORE INTO mirror_run (run_id, generation) SELECT ?, counter FROM mirror"
    if session.run(know, (run_id,)) and session.one("SELECT count(*) FROM mirror_run") > MOST_RUNS:
        raise WireError(f"it speaks of more than {MOST_RUNS} runs, which is more than is watched")


def _name(session: Session, key: str, known: set[str]) -> str | None:
    """How a metric is called here; None where it cannot be kept."""
    name = clean_text(key, LONGEST_KEY)
    if name and (name in known or len(known) < MOST_KEYS):
        return name
    session.refuse(f"a run has more than {MOST_KEYS} metrics; some were left out")
    return None


def _note(session: Session, run_id: int, key: str, *, upto: int = 0, thinned: bool = False) -> None:
    session.run(
        "INSERT INTO mirror_curve (run_id, key, upto, thinned) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (run_id, key) DO UPDATE "
        "SET upto = max(upto, excluded.upto), thinned = max(thinned, excluded.thinned)",
        (run_id, key, upto, thinned),
    )


def _add(session: Session, run_id: int, key: str, points: Sequence[Point]) -> int:
    """Keep values that are not there yet.

    Returns:
        How many these are.
    """
    rows = [
        (run_id, key, step, epoch, time, _bounded(value), origin)
        for origin, step, epoch, time, value in points
        if 0 < origin < LARGEST_WHOLE and step >= 0 and epoch >= 0.0 and 0.0 <= time <= LARGEST_TIME
    ]
    if len(rows) < len(points):
        session.refuse(f"values of {key} without a place in time were left out")
    return session.run_many(_INSERT, rows) if rows else 0


def _bounded(value: float | None) -> float | None:
    return value if value is None or abs(value) <= LARGEST else None


def _thin(session: Session, run_id: int) -> None:
    """Keep of each long curve only the least and the greatest value of each stretch, and a gap."""
    counts = dict(session.all("SELECT key, count(*) FROM metric WHERE run_id = ? GROUP BY key", (run_id,)))
    for key, count in counts.items():
        # So that all curves together take half the room at most.
        room = max(40, min(LONG, MOST_POINTS // (2 * len(counts))))
        if count <= room:
            continue
        query = "SELECT id, value FROM metric WHERE run_id = ? AND key = ? ORDER BY step, origin"
        rows = session.all(query, (run_id, key))
        kept = set(_extremes(rows, room // 4))
        gone = [(row_id,) for row_id, _ in rows if row_id not in kept]
        session.run_many("DELETE FROM metric WHERE id = ?", gone)
        _note(session, run_id, key, thinned=True)
    left = session.one("SELECT count(*) FROM metric WHERE run_id = ?", (run_id,))
    session.run("UPDATE mirror_run SET points = ? WHERE run_id = ?", (left, run_id))


def _extremes(rows: Sequence[tuple[int, float | None]], stretches: int) -> Iterable[int]:
    """Ids of the first, the last, and of each stretch's least, greatest and first missing value."""
    yield rows[0][0]
    yield rows[-1][0]
    length = -(-len(rows) // stretches)
    for start in range(0, len(rows), length):
        part = rows[start : start + length]
        present = [row for row in part if row[1] is not None]
        if present:
            yield min(present, key=_value)[0]
            yield max(present, key=_value)[0]
        if len(present) < len(part):
            yield next(row_id for row_id, value in part if value is None)


def _value(row: tuple[int, float | None]) -> float:
    assert row[1] is not None
    return row[1]
