"""What a host's lists show, written into its mirror: runs, scores, events and what else stands in rows."""

from __future__ import annotations

import json
import secrets
import time
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from lvmtui.remote.agent.wire import Message, WireError
from lvmtui.remote.mirrors.checks import (
    LARGEST_WHOLE,
    MOST_RUNS,
    TABLES,
    Refused,
    a_list,
    a_text,
    an_object,
    number_of,
    tables,
)
from lvmtui.remote.mirrors.logs import drop_all_logs, drop_log
from lvmtui.remote.mirrors.session import Session

MOST_TEXT = 1 << 28
"""Characters in the rows of all runs: readers have them in memory."""

_LENGTHS = "length(recipe) + length(coalesce(error, '')) + length(note) + length(source) + length(versions)"

MOST_ROWS = {
    "protocol": ("protocol", 2_000),
    "promotion": ("promotion", 20_000),
    "latency": ("latency", 100_000),
    "evaluation": ("evaluation WHERE run_id IS NULL", 10_000),
}
"""Table -> which of its rows readers have in memory, all of them, and how many these are at most."""

READINGS_KEPT = 5_000
"""Of devices: some minutes of several."""

EVENTS_KEPT, TOLD_KEPT = 20_000, 5_000
"""Events, and those of them that views of runs are worked out from."""

MOST_MARKS = 32
"""Numbers in `have`."""

_OF_RUN = (
    "metric", "evaluation", "checkpoint", "promotion", "event", "device_sample", "latency", "control",
    "mirror_run", "mirror_curve", "mirror_lost", "mirror_change",
)  # fmt: skip
"""Tables with rows of a run."""

_REPLACED = ("control", "checkpoint")
"""Tables of which all rows come at once."""


def reset(session: Session, _message: Message) -> bool:
    """Forget everything: it is of another store."""
    for table in (*TABLES, "metric", "query_fact", *_OF_RUN[-4:]):
        session.run(f"DELETE FROM {table}")
    session.tick()
    session.token = secrets.token_hex(8)
    session.generations.clear()
    session.run("UPDATE mirror SET token = ?, have = '{}'", (session.token,))
    # What tells readers that other contents stand in the file now.
    session.run("UPDATE schema_version SET applied = max(?, applied + 0.001)", (time.time(),))
    drop_all_logs(session)
    return True


def columns(session: Session, message: Message) -> bool:
    """Learn how the rows of a table are ordered from now on."""
    table = message.get("table")
    if isinstance(table, str) and table in TABLES:
        names = a_list(message.get("names"), "the columns of a table")[:1000]
        session.names[table] = tuple(a_text(name, "the name of a column") for name in names)
    return False


def rows(session: Session, message: Message) -> bool:
    """Put rows in, or in place of themselves."""
    table = message.get("table")
    if table not in TABLES:
        return False
    return _put(session, table, _checked(session, table, message))


def change(session: Session, message: Message) -> bool:
    """Set columns of a run's row."""
    run_id = session.id(number_of(message.get("run")))
    given = session.table("run").values(an_object(message.get("set"), "a change"))
    for column in ("id", "revision", "folder"):
        given.pop(column, None)
    if not given:
        return False
    set_to = ", ".join(f'"{column}" = ?' for column in given)
    differs = " OR ".join(f'"{column}" IS NOT ?' for column in given)
    values = [*given.values()]
    changed = session.run(
        f"UPDATE run SET {set_to}, revision = ? WHERE id = ? AND ({differs})",
        [*values, session.tick(), run_id, *values],
    )
    return bool(changed)


def every(session: Session, message: Message) -> bool:
    """Put in all rows that a table has, or has of a run; the others go."""
    table = message.get("table")
    if table not in _REPLACED:
        return False
    found = _checked(session, table, message)
    where = ""
    of_run: tuple[int, ...] = ()
    if table == "checkpoint":
        run_id = session.id(number_of(message.get("run")))
        found = [row for row in found if row["run_id"] == run_id]
        where, of_run = "WHERE run_id = ?", (run_id,)
    kept = {row["id"] for row in found}
    gone = [key for (key,) in session.all(f"SELECT id FROM {table} {where}", of_run) if key not in kept]
    session.run_many(f"DELETE FROM {table} WHERE id = ?", [(key,) for key in gone])
    return _put(session, table, found) or bool(gone)


def gone(session: Session, message: Message) -> bool:
    """Forget runs that were deleted."""
    numbers = a_list(message.get("runs"), "the list of deleted runs")
    return _delete(session, [session.id(number_of(number)) for number in numbers])


def runs(session: Session, message: Message) -> bool:
    """Forget the runs that are not among those that there are."""
    firsts: list[int] = []
    lasts: list[int] = []
    for pair in a_list(message.get("ranges"), "the list of runs"):
        if not isinstance(pair, list) or len(pair) != 2:
            raise WireError("the list of runs holds something else than ranges")
        first, last = (session.id(number_of(number)) for number in pair)
        if lasts and first <= lasts[-1]:
            raise WireError("the list of runs is not in order")
        firsts.append(first)
        lasts.append(last)
    known = [run_id for (run_id,) in session.all("SELECT id FROM run")]
    return _delete(session, [run_id for run_id in known if not _within(run_id, firsts, lasts)])


def listed(session: Session, message: Message) -> bool:
    """Remember what the next greeting says is known, unless somebody else has forgotten it meanwhile."""
    have = an_object(message.get("have"), "what is known")
    if len(have) > MOST_MARKS or not all(_is_mark(name, value) for name, value in have.items()):
        raise WireError("what is known is said in other words than numbers")
    session.run("UPDATE mirror SET have = ? WHERE token = ?", (json.dumps(have), session.token))
    return False


def _is_mark(name: str, value: Any) -> bool:
    return len(name) <= 40 and type(value) in (int, float) and 0 <= value <= LARGEST_WHOLE


def lost(session: Session, message: Message) -> bool:
    """Which unfinished runs count as lost, and why."""
    given = an_object(message.get("runs"), "the list of lost runs")
    found = {}
    for key, reason in given.items():
        number = int(key) if key.isascii() and key.isdecimal() and len(key) < 12 else 0
        found[session.id(number_of(number))] = a_text(reason, "the reason why a run is lost", 200) or "lost"
    if found == dict(session.all("SELECT run_id, reason FROM mirror_lost")):
        return False
    session.run("DELETE FROM mirror_lost")
    session.run_many("INSERT INTO mirror_lost VALUES (?, ?)", found.items())
    return True


def _checked(session: Session, table: str, message: Message) -> list[dict[str, Any]]:
    """The rows of a message that can be kept, once each."""
    names = session.names.get(table)
    if names is None:
        raise WireError(f"rows of {table} came before its columns")
    found = {}
    for values in a_list(message.get("rows"), "the rows of a table"):
        if not isinstance(values, list) or len(values) != len(names):
            raise WireError(f"a row of {table} does not fit its columns")
        try:
            row = session.table(table).row(names, values)
        except Refused as error:
            session.refuse(f"a row of {table} was left out: {error}")
        else:
            found[row["id"]] = row
    return [*found.values()]


def _put(session: Session, table: str, found: Sequence[dict[str, Any]]) -> bool:
    """Write rows; have readers look for those that they would not find behind what they know."""
    if not found:
        return False
    if table == "run":
        _check_room(session, found)
        revision = session.tick()
        for row in found:
            row["revision"] = revision
    newest = session.one(f"SELECT max(id) FROM {table}") or 0 if table != "protocol" else ""
    statement = _upsert(table)
    new = [row for row in found if session.run(statement, [*row.values()])]
    if table == "protocol":
        session.tell("protocol", {0} if new else ())
    elif table not in {"run", *_REPLACED}:
        late = [row for row in new if row["id"] <= newest]
        session.tell(table, {row["run_id"] or 0 for row in late})
    if new:
        _drop_oldest(session, table, len(new))
        _check_count(session, table)
    return bool(new)


def _drop_oldest(session: Session, table: str, added: int) -> None:
    if table == "device_sample":
        _drop_behind(session, table, "true", READINGS_KEPT)
    if table == "event":
        session.events += added
        if session.events > EVENTS_KEPT // 10:
            session.events = 0
            told = "kind IN ('audit', 'test_look')"
            _drop_behind(session, table, f"NOT {told}", EVENTS_KEPT)
            _drop_behind(session, table, told, TOLD_KEPT)


def _drop_behind(session: Session, table: str, which: str, kept: int) -> None:
    """Delete the oldest of some rows."""
    oldest = f"SELECT id FROM {table} WHERE {which} ORDER BY id DESC LIMIT 1 OFFSET ?"
    session.run(f"DELETE FROM {table} WHERE id <= ({oldest}) AND {which}", (kept,))


def _check_count(session: Session, table: str) -> None:
    """
    Raises:
        WireError: there are more rows than are kept.
    """
    if table in MOST_ROWS:
        which, most = MOST_ROWS[table]
        if session.one(f"SELECT count(*) FROM {which}") > most:
            raise WireError(f"its store has more than {most} rows of {table}, which is more than is watched")


@cache
def _upsert(table: str) -> str:
    """A statement that puts a row in, and changes nothing where it stands there already."""
    names = [f'"{name}"' for name in tables(0)[table].columns]
    kept = {'"id"', '"ranks"', '"query_groups"'}
    set_to = ", ".join(f"{name} = excluded.{name}" for name in names if name not in kept)
    kept.add('"revision"')
    differs = " OR ".join(f"{table}.{name} IS NOT excluded.{name}" for name in names if name not in kept)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        f"ON CONFLICT (id) DO UPDATE SET {set_to} WHERE {differs}"
    )


def _check_room(session: Session, found: Collection[Mapping[str, Any]]) -> None:
    """
    Raises:
        WireError: there are more runs, or more is said of them, than is kept.
    """
    session.text += sum(len(value) for row in found for value in row.values() if isinstance(value, str))
    if session.text > MOST_TEXT:
        session.text = session.one(f"SELECT sum({_LENGTHS}) FROM run") or 0
        if session.text > MOST_TEXT:
            raise WireError(
                f"its runs have more than {MOST_TEXT >> 20} MiB of text, which is more than is kept"
            )
    if len(found) + session.one("SELECT count(*) FROM run") > MOST_RUNS:
        known = {key for (key,) in session.all("SELECT id FROM run")}
        if len(known | {row["id"] for row in found}) > MOST_RUNS:
            raise WireError(f"its store has more than {MOST_RUNS} runs, which is more than is watched")


def _within(run_id: int, firsts: Sequence[int], lasts: Sequence[int]) -> bool:
    place = bisect_right(firsts, run_id) - 1
    return place >= 0 and run_id <= lasts[place]


def _delete(session: Session, run_ids: Iterable[int]) -> bool:
    """Delete runs and everything of them."""
    session.run("CREATE TEMP TABLE IF NOT EXISTS doomed (id INTEGER PRIMARY KEY)")
    session.run("DELETE FROM doomed")
    session.run_many("INSERT OR IGNORE INTO doomed VALUES (?)", [(run_id,) for run_id in run_ids])
    known = session.all("SELECT id FROM run WHERE id IN (SELECT id FROM doomed)")
    if known:
        for table in _OF_RUN:
            session.run(f"DELETE FROM {table} WHERE run_id IN (SELECT id FROM doomed)")
        session.run("DELETE FROM run WHERE id IN (SELECT id FROM doomed)")
        session.tick()
        for (run_id,) in known:
            drop_log(session, run_id)
    session.run("DELETE FROM doomed")
    return bool(known)
