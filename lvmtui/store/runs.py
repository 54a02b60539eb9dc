"""Changing a run's row: the one place that moves a status and counts revisions."""

from typing import Any

from sqlalchemy import Connection, Table, func, select, update
from sqlmodel import SQLModel

from lvmtui.errors import IllegalTransition, RunNotFound
from lvmtui.store import tables
from lvmtui.store.convert import to_run
from lvmtui.store.lifecycle import Result, Status, check_transition
from lvmtui.store.records import Run, Shelf


def table(model: type[SQLModel]) -> Table:
    """The SQLAlchemy table behind a SQLModel class."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


RUN = table(tables.RunRow)


def next_revision(connection: Connection) -> int:
    """One more than the newest revision; call inside a write transaction."""
    newest = connection.execute(select(func.max(RUN.c.revision))).scalar()
    return int(newest or 0) + 1


def get(connection: Connection, run_id: int) -> Run:
    """The run with this id.

    Raises:
        RunNotFound: there is none.
    """
    row = connection.execute(select(RUN).where(RUN.c.id == run_id)).mappings().first()
    if row is None:
        raise RunNotFound(f"there is no run #{run_id}", "`lvmtui ls` lists the runs.")
    return to_run(dict(row))


def check_not_in_trash(run: Run) -> None:
    """Refuse what makes no sense for a run that is on its way out.

    Raises:
        IllegalTransition: it is in the trash.
    """
    if run.shelf is Shelf.TRASH:
        raise IllegalTransition(f"{run.name} is in the trash", f"`lvmtui restore {run.id}` takes it out.")


def change(connection: Connection, run_id: int, **values: Any) -> None:
    """Set columns of a run; call inside a write transaction."""
    values["revision"] = next_revision(connection)
    connection.execute(update(RUN).where(RUN.c.id == run_id).values(**values))


def move(
    connection: Connection, run_id: int, status: Status, result: Result | None = None, **values: Any
) -> Run:
    """Move a run to another status, with other columns in the same statement.

    Returns:
        The run as it was before.

    Raises:
        IllegalTransition: the lifecycle does not allow it.
    """
    run = get(connection, run_id)
    check_transition(run.status, status, run.name)
    if (status is Status.DONE) != (result is not None):
        raise ValueError("a run has a result exactly when it is done")
    change(connection, run_id, status=status.value, result=result.value if result else None, **values)
    return run
