"""Requests as rows: launch, stop, resume, promote. They work from any terminal that sees the store."""

import getpass
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, insert, select, update

from lvmtui.errors import CheckpointError, IllegalTransition
from lvmtui.store import runs, tables
from lvmtui.store.convert import event_columns, jsonable, to_checkpoint
from lvmtui.store.copies import check_over_there
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import ACTIVE, Result, Status, can_resume, can_stop
from lvmtui.store.queue import Worker, claim, is_being_started, lose
from lvmtui.store.records import Checkpoint, ControlKind, Event, NewRun, Promotion, Run, Severity
from lvmtui.store.slots import group_tag

_CONTROL = runs.table(tables.ControlRow)
_CHECKPOINT = runs.table(tables.CheckpointRow)
_PROMOTION = runs.table(tables.PromotionRow)
_EVENT = runs.table(tables.EventRow)


def requester() -> str:
    """Who asks: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _inserted_id(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    if key is None:
        raise RuntimeError("the insert returned no id")
    return int(key[0])


class Controller:
    """Everything that changes runs from outside their processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create_run(self, new: NewRun, worker: Worker | None = None) -> Run:
        """Add a queued run; its folder is named after its id, and made.

        Args:
            new: what is known of it.
            worker: who is about to start it; None: it waits in the queue.
        """
        with self.database.write() as connection:
            run = self._create(connection, new)
            if worker is not None:
                claim(connection, run.id, worker)
            return runs.get(connection, run.id)

    def create_group(
        self, news: Sequence[NewRun], label: str, *, jobs: int = 1, worker: Worker | None = None
    ) -> list[Run]:
        """Add queued runs that share a tag (`lvmtui.store.slots.group_tag`), all of them or none.

        Args:
            news: what is known of them.
            label: what they are, in words.
            jobs: how many of them may be at work at once.
            worker: who is about to start as many of them; None: all wait in the queue.
        """
        with self.database.write() as connection:
            made = [self._create(connection, new) for new in news]
            tag = group_tag(label, made[0].id, jobs)
            for run in made:
                runs.change(connection, run.id, tags=f"{run.tags}, {tag}" if run.tags else tag)
            if worker is not None:
                for run in made[:jobs]:
                    claim(connection, run.id, worker)
            return [runs.get(connection, run.id) for run in made]

    def _create(self, connection: Connection, new: NewRun) -> Run:
        values = {
            "phase": new.phase,
            "status": Status.QUEUED.value,
            "recipe": new.recipe,
            "recipe_hash": new.recipe_hash,
            "overrides": dict(new.overrides),
            "seed": new.seed,
            "model": new.model,
            "context": new.context,
            "watch": new.watch,
            "targets": jsonable(new.targets),
            "data": new.data,
            "epochs": new.epochs,
            "patience": new.patience,
            "note": new.note,
            "tags": new.tags,
            "device_wanted": new.device_wanted,
            "host_wanted": new.host_wanted,
            "priority": new.priority,
            "held": new.held,
            "after": new.after,
            "source": new.source,
            "folder": "",
            "created": time.time(),
            "versions": {},
            "active_seconds": 0.0,
            "attempt": 0,
            "epoch": 0,
            "step": 0,
            "steps": 0,
            "patience_used": 0,
            "revision": runs.next_revision(connection),
        }
        run_id = _inserted_id(connection.execute(insert(runs.RUN).values(**values)))
        runs.change(connection, run_id, folder=self.take_folder(run_id))
        run = runs.get(connection, run_id)
        self._event(connection, run_id, "launched", f"{run.name} queued by {requester()}")
        return run

    def take_folder(self, run_id: int) -> str:
        """Make the folder of a run: `runs/ID`, or `runs/ID-2` and so on where another store beside this one,
        or one that was here before, has that already. Two runs in one folder would delete each other's
        checkpoints."""
        runs_folder = self.database.location.root / "runs"
        for name in (str(run_id), *(f"{run_id}-{k}" for k in range(2, 1000))):
            try:
                (runs_folder / name).mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError:  # Said, with what to do, when its process is started.
                break
            return f"runs/{name}"
        return f"runs/{run_id}"

    def spawned(self, run_id: int, *, pid: int, process_started: float, host: str) -> None:
        """Record the process that was started for a queued run, so that its death is noticed.

        Nothing is recorded where another process has claimed the run meanwhile: whichever starts it has it.
        """
        with self.database.write() as connection:
            run = runs.get(connection, run_id)
            if run.status is Status.QUEUED and (run.pid is None or is_being_started(run)):
                runs.change(
                    connection,
                    run_id,
                    pid=pid,
                    process_started=process_started,
                    host=host,
                    heartbeat=time.time(),
                )

    def spawn_failed(self, run_id: int, message: str) -> None:
        """Record that no process could be started."""
        with self.database.write() as connection:
            runs.move(connection, run_id, Status.DONE, Result.FAILED, ended=time.time(), error=message)
            self._event(connection, run_id, "failed", message, Severity.ERROR)

    def request_stop(self, run_id: int) -> Run:
        """Ask a run to stop. A queued run without a process is stopped at once.

        Returns:
            The run after the request.

        Raises:
            IllegalTransition: it is already stopping or over.
        """
        now = time.time()
        with self.database.write() as connection:
            run = runs.get(connection, run_id)
            if not can_stop(run.status):
                raise IllegalTransition(
                    f"{run.name} cannot be stopped: it is {describe(run)}", "`lvmtui ls` shows what runs."
                )
            by = requester()
            self._event(connection, run_id, "stop_requested", f"stop asked by {by}")
            if run.status is Status.QUEUED and run.pid is None:
                runs.move(connection, run_id, Status.DONE, Result.STOPPED, ended=now)
            else:
                row = {
                    "run_id": run_id,
                    "kind": ControlKind.STOP.value,
                    "requested": now,
                    "requested_by": by,
                }
                connection.execute(insert(_CONTROL), [row])
                runs.change(connection, run_id)
            return runs.get(connection, run_id)

    def mark_lost(self, seen: Run, reason: str) -> bool:
        """Record that the run's process is gone.

        Args:
            seen: the run as it was when the caller made sure of that.
            reason: what was found.

        Returns:
            Whether it was recorded; not when the run has ended, or was taken up again, in the meantime.
        """
        with self.database.write() as connection:
            return lose(connection, seen, reason)

    def requeue(self, run_id: int, worker: Worker | None = None) -> Run:
        """Queue a run again, to go on from its last checkpoint.

        Args:
            run_id: the run.
            worker: who is about to start it; None: it waits in the queue.

        Raises:
            IllegalTransition: it is active, in the trash, or there is nothing left to do.
        """
        with self.database.write() as connection:
            run = runs.get(connection, run_id)
            runs.check_not_in_trash(run)
            check_over_there(run)
            if not can_resume(run.status, run.result):
                raise IllegalTransition(
                    f"{run.name} cannot be resumed: it is {describe(run)}",
                    "Stopped, failed and lost runs can be resumed.",
                )
            connection.execute(
                update(_CONTROL)
                .where(_CONTROL.c.run_id == run_id, _CONTROL.c.acknowledged.is_(None))
                .values(acknowledged=time.time())
            )
            anew: dict[str, Any] = {
                "pid": None,
                "process_started": None,
                "device": None,
                "held": False,
                "after": None,
            }
            runs.move(connection, run_id, Status.QUEUED, ended=None, **anew)
            self._event(connection, run_id, "resumed", f"resume asked by {requester()}")
            if worker is not None:
                claim(connection, run_id, worker)
            return runs.get(connection, run_id)

    def promote(
        self, run_id: int, *, alias: str = "champion", gates: Mapping[str, Any] | None = None, note: str = ""
    ) -> Promotion:
        """Point an alias at the run's best checkpoint; the log behind it keeps every earlier one.

        Raises:
            CheckpointError: the run has no best checkpoint.
            IllegalTransition: it is in the trash.
        """
        with self.database.write() as connection:
            run = runs.get(connection, run_id)
            runs.check_not_in_trash(run)
            best = self._best(connection, run)
            values = {
                "alias": alias,
                "run_id": run_id,
                "checkpoint_id": best.id,
                "time": time.time(),
                "gates": jsonable(gates or {}),
                "note": note,
            }
            result = connection.execute(insert(_PROMOTION).values(**values))
            self._event(
                connection,
                run_id,
                "promoted",
                f"{run.name} (epoch {best.epoch}) promoted to {alias} by {requester()}",
                evidence=gates,
            )
            runs.change(connection, run_id)
            return Promotion(id=_inserted_id(result), **values)

    def annotate(self, run_id: int, *, note: str | None = None, tags: str | None = None) -> None:
        """Change a run's note or tags."""
        values = {name: text for name, text in (("note", note), ("tags", tags)) if text is not None}
        with self.database.write() as connection:
            runs.get(connection, run_id)
            runs.change(connection, run_id, **values)

    def record(self, run_id: int, kind: str, message: str, severity: Severity = Severity.INFO) -> None:
        """Record that something has happened to a run."""
        with self.database.write() as connection:
            self._event(connection, run_id, kind, message, severity)

    @staticmethod
    def _best(connection: Connection, run: Run) -> Checkpoint:
        row = (
            connection.execute(
                select(_CHECKPOINT).where(_CHECKPOINT.c.run_id == run.id, _CHECKPOINT.c.is_best.is_(True))
            )
            .mappings()
            .first()
        )
        if row is None:
            raise CheckpointError(
                f"{run.name} has no best checkpoint to promote",
                "A checkpoint is kept from the first evaluated epoch on.",
            )
        return to_checkpoint(dict(row))

    @staticmethod
    def _event(
        connection: Connection,
        run_id: int,
        kind: str,
        message: str,
        severity: Severity = Severity.INFO,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        event = Event(kind, message, time.time(), severity, evidence or {})
        connection.execute(insert(_EVENT), [event_columns(event, run_id)])


def describe(run: Run) -> str:
    """A run's state in words."""
    if run.status is Status.DONE and run.result is not None:
        return run.result.value.replace("_", " ")
    if run.status in ACTIVE and run.pid is not None:
        return f"{run.status} (pid {run.pid} on {run.host})"
    return run.status.value
