"""Keeping a mirror's file within its bounds: curves of runs that nobody looks at now go first."""

from __future__ import annotations

from lvmtui.remote.mirrors.file import MOST_BYTES, PAGE_BYTES
from lvmtui.remote.mirrors.session import Session

CROWDED_BYTES = MOST_BYTES // 2
"""With more in it than this, room is made when it is opened."""


def is_crowded(session: Session) -> bool:
    """Whether more than half of the room is taken."""
    pages, free = session.one("PRAGMA page_count"), session.one("PRAGMA freelist_count")
    return bool((pages - free) * PAGE_BYTES > CROWDED_BYTES)


def make_room(session: Session) -> bool:
    """Forget the curves of all runs but those that are looked at here.

    Returns:
        Whether there were any.
    """
    looked_at = session.generations.keys()
    with session.transaction():
        known = session.all("SELECT run_id FROM mirror_run WHERE points > 0")
        chosen = [run_id for (run_id,) in known if run_id not in looked_at]
        if not chosen:
            return False
        generation = session.tick()
        for run_id in chosen:
            session.run("DELETE FROM metric WHERE run_id = ?", (run_id,))
            session.run("DELETE FROM mirror_curve WHERE run_id = ?", (run_id,))
            forget = "UPDATE mirror_run SET generation = ?, points = 0 WHERE run_id = ?"
            session.run(forget, (generation, run_id))
        session.tell("metric", chosen)
    return True
