"""The end of a run's log, kept as a file in the mirror's folder so that it is followed like any other."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from lvmtui.errors import StoreError
from lvmtui.reading import LOG_BYTES, LOG_NAME
from lvmtui.remote.agent.wire import MESSAGE_LIMIT, Message, WireError
from lvmtui.remote.mirrors.checks import number_of, run_folder, whole
from lvmtui.remote.mirrors.session import Session

MOST_BYTES = 4 * LOG_BYTES
"""A longer file is cut to its last `LOG_BYTES`."""

LOGS_KEPT = 200
"""Runs whose log is kept, those written last."""


def log(session: Session, message: Message) -> bool:
    """Write more of a run's log."""
    run_id = session.id(number_of(message.get("run")))
    at, size = whole(message.get("at")), whole(message.get("size"))
    text = message.get("text")
    if not isinstance(text, str):
        raise WireError("a log is no text")
    # As it is: bytes are counted, and the log there may have colours. Who shows it leaves them out.
    data = text[:MESSAGE_LIMIT].encode("utf-8", "replace")
    known = int(session.one("SELECT log FROM mirror_run WHERE run_id = ?", (run_id,)) or 0)
    # Somebody else who writes this mirror may be ahead; what was missed cannot be put in between.
    fresh = message.get("fresh") is True or at > known
    new = data if fresh else data[known - at :]
    if not (new or message.get("fresh") is True):
        return False
    path = session.folder / run_folder(run_id) / LOG_NAME
    try:
        _write(path, new, fresh=fresh)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}", "Check the free disk space.") from error
    session.tick()
    reached = size if size >= at else at + len(data)
    session.run(
        "INSERT INTO mirror_run (run_id, generation, log, logged) "
        "SELECT ?, counter, ?, counter FROM mirror WHERE true "
        "ON CONFLICT (run_id) DO UPDATE SET log = excluded.log, logged = excluded.logged",
        (run_id, reached),
    )
    _drop_oldest(session)
    return True


def drop_log(session: Session, run_id: int) -> None:
    """Delete what is kept of a run's log."""
    shutil.rmtree(session.folder / run_folder(run_id), ignore_errors=True)


def drop_all_logs(session: Session) -> None:
    """Delete every log."""
    shutil.rmtree(session.folder / "runs", ignore_errors=True)


def _drop_oldest(session: Session) -> None:
    if session.one("SELECT count(*) FROM mirror_run WHERE logged > 0") <= LOGS_KEPT:
        return
    oldest = session.one("SELECT run_id FROM mirror_run WHERE logged > 0 ORDER BY logged LIMIT 1")
    session.run("UPDATE mirror_run SET log = 0, logged = 0 WHERE run_id = ?", (oldest,))
    drop_log(session, oldest)


def _write(path: Path, data: bytes, *, fresh: bool) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not fresh:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end + len(data) <= MOST_BYTES:
                file.write(data)
                return
            file.seek(max(0, end - LOG_BYTES))
            data = file.read() + data
    if len(data) > MOST_BYTES:
        data = data[-LOG_BYTES:].partition(b"\n")[2]
    # A reader tells by the file that it is another one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
