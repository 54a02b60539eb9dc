"""Runs that were copied from other stores: once, however often it is done."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, Table, delete, func, insert, select

from lvmtui.errors import IllegalTransition, StoreError
from lvmtui.store import runs, tables
from lvmtui.store.copied_rows import (
    APPENDED,
    BATCH,
    KEPT_HERE,
    MODELS,
    STAGED,
    Survey,
    insert_staged,
    rows_of,
    table_of,
)
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Run, Severity
from lvmtui.store.sources import Source, TableCopied, source_of


def check_over_there(run: Run) -> None:
    """Refuse to go on here with a run that may be going on in the store that it was copied from.

    Raises:
        IllegalTransition: it was not over when it was copied.
    """
    source = source_of(run)
    if source is not None and source.state:
        raise IllegalTransition(
            f"{run.name} is a copy of #{source.number} on {source.host}, which was {source.state} there",
            "Copy it again once it is over there; then it can be resumed here.",
        )


def copy_of(database: Database, identity: tuple[float, int, float]) -> Run | None:
    """The copy of a run of another store, where there is one."""
    from lvmtui.store.reader import Reader

    for run in reversed(Reader(database).runs()):
        source = source_of(run)
        if source is not None and source.identity == identity:
            return run
    return None


def made_at(database: Database) -> float:
    """When a store was made."""
    from lvmtui.store.reader import Reader

    return Reader(database).history_mark()[0]


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken in."""

    run: Run
    """As it is here now."""
    rows: int
    """Rows that were not here before."""
    superseded: tuple[str, ...]
    """Paths of checkpoints that are not the run's any more, relative to the store's folder."""


def take_in(
    database: Database,
    found: Survey,
    source: Source,
    files: Mapping[str, str],
    *,
    copy: Run | None,
    place: Callable[[Path], object],
) -> Taken:
    """Insert the rows of a run, or bring its copy up to date, all in one transaction.

    Args:
        database: the store.
        found: the rows.
        source: where they are from.
        files: the files that come with them: name in the run's folder -> sha256.
        copy: the run that is brought up to date; None: it is a new one.
        place: puts the files into the folder that it is given; called last before the rows are committed.

    Raises:
        RunNotFound: the copy was deleted meanwhile.
        StoreError: a checkpoint's row and its file do not fit.
    """
    from lvmtui.store.control import Controller

    is_over = found.run["status"] == Status.DONE.value
    source = replace(source, state="" if is_over else found.run["status"])
    with ExitStack() as stack:
        if found.staged is not None:
            stack.enter_context(database.beside(found.staged))
        connection = stack.enter_context(database.write())
        if copy is None:
            run_id = _insert_run(connection, found)
            folder = Controller(database).take_folder(run_id)
        else:
            run_id, folder = copy.id, runs.get(connection, copy.id).folder
        before = source_of(copy) if copy else None
        fresh, kept = _insert_rows(connection, run_id, found, before, folder)
        superseded = _set_checkpoints(connection, run_id, found, files, folder)
        kept_source = replace(source, tables=kept)
        values = _run_values(found, source)
        if copy is not None:
            values = {name: value for name, value in values.items() if name not in {"note", "tags"}}
        text = json.dumps(asdict(kept_source), separators=(",", ":"))
        runs.change(connection, run_id, **values, folder=folder, source=text)
        run = runs.get(connection, run_id)
        row = _copied_event(run, source, fresh, copy is not None)
        connection.execute(insert(table_of("event")), [row])
        place(database.location.root / folder)
    return Taken(run, fresh, superseded)


def _insert_run(connection: Connection, found: Survey) -> int:
    row = {
        **{
            name: MODELS["run"].model_fields[name].get_default(call_default_factory=True)
            for name in KEPT_HERE
        },
        **found.run,
        "folder": "",
        "revision": runs.next_revision(connection),
    }
    del row["id"]
    key = connection.execute(insert(runs.RUN).values(**row)).inserted_primary_key
    if key is None:
        raise RuntimeError("the insert returned no id")
    return int(key[0])


def _run_values(found: Survey, source: Source) -> dict[str, Any]:
    """Columns of the copy. That of a run that goes on is over: nobody works on it here, nobody is missed."""
    values = dict(found.run)
    if not source.state:
        return values
    begun = values.get("started")
    active = values["active_seconds"] + (max(0.0, source.time - begun) if begun else 0.0)
    over = {"status": Status.DONE.value, "result": Result.STOPPED.value, "ended": source.time, "error": None}
    return {**values, **over, "active_seconds": active}


def _copied_event(run: Run, source: Source, fresh: int, again: bool) -> dict[str, Any]:
    words = f"copied {'again ' if again else ''}from {source.host} (#{source.number} there): {fresh} new rows"
    if source.state:
        words += (
            f"; it was {source.state} there: this copy stands at step {run.progress.step} and is not resumed"
        )
    return {
        "run_id": run.id,
        "kind": "copied",
        "severity": Severity.WARN.value if source.state else Severity.INFO.value,
        "message": words,
        "time": time.time(),
        "evidence": {"host": source.host, "store": source.store, "run": source.number, "state": source.state},
    }


def _insert_rows(
    connection: Connection, run_id: int, found: Survey, before: Source | None, folder: str
) -> tuple[int, dict[str, TableCopied]]:
    """Insert what is not here yet.

    Returns:
        How many rows of the run that were, and what is here of each table now.
    """
    kept = {name: _still_here(connection, run_id, name, found, before) for name in APPENDED}
    last = {name: _last_id(connection, name) for name in APPENDED}
    seen = dict.fromkeys(APPENDED, 0)
    waiting: dict[str, list[dict[str, Any]]] = {name: [] for name in APPENDED}

    def flush(name: str) -> None:
        if waiting[name]:
            connection.execute(insert(table_of(name)), waiting[name])
            waiting[name].clear()

    if found.staged is not None:
        seen[STAGED] = found.tables[STAGED].rows
        if seen[STAGED] > kept[STAGED].rows:
            insert_staged(connection, run_id, kept[STAGED].rows)
    with found.path.open("rb") as file:
        for name, row, _ in rows_of(file, but=STAGED if found.staged is not None else ""):
            if name in seen:
                seen[name] += 1
                if seen[name] <= kept[name].rows:
                    continue
                if name == "latency":
                    row["checkpoint"] = _moved(row["checkpoint"], found.folder, folder)
                waiting[name].append({**row, "run_id": run_id})
                if len(waiting[name]) >= BATCH:
                    flush(name)
            elif name in _SHARED and not _is_known(connection, name, row):
                extra = {"run_id": None} if name in {"baseline", "data_event"} else {}
                connection.execute(insert(table_of(name)), [{**row, **extra}])
    for name in APPENDED:
        flush(name)
    fresh = sum(seen[name] - kept[name].rows for name in APPENDED)
    now = {
        name: TableCopied(
            found.tables[name].rows,
            found.tables[name].sha256,
            (*kept[name].ids, *_stretch(connection, run_id, name, last[name])),
        )
        for name in APPENDED
    }
    return fresh, now


def _still_here(
    connection: Connection, run_id: int, name: str, found: Survey, before: Source | None
) -> TableCopied:
    """The rows that were copied before and need not be again; the others of that copy are deleted. Rows that
    were written here stay."""
    earlier = before.tables.get(name) if before is not None else None
    if earlier is None:
        return TableCopied()
    table = table_of(name)
    if found.unchanged[name]:
        here = sum(
            int(connection.execute(_within(select(func.count()), table, run_id, ids)).scalar() or 0)
            for ids in earlier.ids
        )
        if here == earlier.rows:
            return earlier
    for first, last in earlier.ids:
        connection.execute(
            delete(table).where(table.c.run_id == run_id, table.c.id >= first, table.c.id <= last)
        )
    return TableCopied()


def _within(query: Select[Any], table: Table, run_id: int, ids: tuple[int, int]) -> Select[Any]:
    return query.where(table.c.run_id == run_id, table.c.id >= ids[0], table.c.id <= ids[1])


def _last_id(connection: Connection, name: str) -> int:
    return int(connection.execute(select(func.max(table_of(name).c.id))).scalar() or 0)


def _stretch(connection: Connection, run_id: int, name: str, after: int) -> Sequence[tuple[int, int]]:
    table = table_of(name)
    query = select(func.min(table.c.id), func.max(table.c.id))
    first, last = connection.execute(query.where(table.c.run_id == run_id, table.c.id > after)).one()
    return [] if first is None else [(int(first), int(last))]


_SHARED: dict[str, tuple[str, ...]] = {
    "protocol": ("id",),
    "query_fact": ("protocol_id", "name"),
    "baseline": ("protocol_id", "split", "baseline", "context"),
    "data_event": ("kind", "time", "message"),
}
"""Tables whose rows are no run's, and by what a row is known: the first writer wins."""


def _is_known(connection: Connection, name: str, row: Mapping[str, Any]) -> bool:
    table = table_of(name)
    query = select(func.count()).where(*(table.c[column] == row[column] for column in _SHARED[name]))
    if name in {"baseline", "data_event"}:
        query = query.where(table.c.run_id.is_(None))
    return bool(connection.execute(query).scalar())


def _set_checkpoints(
    connection: Connection, run_id: int, found: Survey, files: Mapping[str, str], folder: str
) -> tuple[str, ...]:
    """Bring the rows of checkpoints in line with those there. One that is promoted here stays.

    Returns:
        Paths of those that are the run's no more.
    """
    table, promotion = table_of("checkpoint"), runs.table(tables.PromotionRow)
    mine = connection.execute(select(table).where(table.c.run_id == run_id)).mappings().all()
    here = {(row["path"], row["sha256"]): row["id"] for row in mine}
    promoted = set(connection.execute(select(promotion.c.checkpoint_id)).scalars())
    wanted = {}
    for row in found.checkpoints:
        name = row["path"].removeprefix(f"{found.folder}/")
        if name not in files:
            continue
        if files[name] != row["sha256"]:
            raise StoreError(
                f"{name} is not the checkpoint of its row: its sha256 is {files[name][:12]}…, and it "
                f"should be {row['sha256'][:12]}…",
                "The file is damaged there: see `lvmtui show` there.",
            )
        wanted[f"{folder}/{name}", row["sha256"]] = {**row, "path": f"{folder}/{name}", "run_id": run_id}
    for key, row in wanted.items():
        if key in here:
            connection.execute(table.update().where(table.c.id == here[key]).values(**row))
        else:
            connection.execute(insert(table), [row])
    gone = [key for key in here if key not in wanted]
    for key in gone:
        if here[key] in promoted:
            values = {"is_best": False, "is_last": False}
            connection.execute(table.update().where(table.c.id == here[key]).values(**values))
        else:
            connection.execute(delete(table).where(table.c.id == here[key]))
    kept = {path for path, _ in wanted} | {key[0] for key in gone if here[key] in promoted}
    return tuple(path for path, _ in gone if path not in kept)


def _moved(path: str, there: str, here: str) -> str:
    return f"{here}/{path.removeprefix(f'{there}/')}" if path.startswith(f"{there}/") else path
