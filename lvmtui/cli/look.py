"""Subcommands that show what is in the store: ls, show, logs, plot, leaderboard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.picking import (
    AllOption,
    ArchivedOption,
    FilterOption,
    RegexOption,
    TrashOption,
    field_named,
    fields_named,
    pick,
)
from lvmtui.cli.session import (
    HostOption,
    HostsOption,
    JsonOption,
    OfflineOption,
    RunArgument,
    Session,
    StoreOption,
    fetch_ranks,
    find_one,
    line,
    look_at,
    names,
    note,
    reading,
    ref,
    session_at,
    take_snapshot,
    terminal_width,
    view_of,
    write,
)
from lvmtui.errors import LvmtuiError, RemoteError, UsageError
from lvmtui.format import plain, size
from lvmtui.store.records import Shelf

if TYPE_CHECKING:
    from lvmtui.cli.logfile import LogReader
    from lvmtui.leaderboard.ranking import Group
    from lvmtui.snapshot import RunView, Series, Snapshot
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Run

FOLLOW_SECONDS = 0.2

LAST_SECONDS = 0.6
"""How long after the end of another machine's run the last lines of its log may arrive."""


def ls(
    context: typer.Context,
    text: FilterOption = "",
    regex: RegexOption = False,
    active: Annotated[bool, typer.Option("--active", "-a", help="Only runs with a process.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The first N; 0: all.")] = 0,
    sort: Annotated[str, typer.Option("--sort", "-s", metavar="FIELD", help="Sort by a field.")] = "started",
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The other way round.")] = False,
    columns: Annotated[
        str,
        typer.Option(metavar="FIELDS", help="Columns, with commas: name,state,hit5,left. `help` lists them."),
    ] = "",
    group: Annotated[
        str, typer.Option(metavar="FIELD", help="Under headings: by phase, tags, recipe, …")
    ] = "",
    archived: ArchivedOption = False,
    trash: TrashOption = False,
    everything: AllOption = False,
    hosts: HostsOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """List the runs, pinned ones first, then the newest."""
    from lvmtui.cli.run_table import print_fields, print_runs
    from lvmtui.run_fields import sorted_by
    from lvmtui.waiting import stalled, stalled_words

    if columns.strip() == "help":
        print_fields()
        return
    fields = fields_named(columns) if columns else []
    headings, order = field_named(group) if group else None, field_named(sort).key
    snapshot = take_snapshot(session_at(context, store, hosts, offline=offline))
    views = pick(snapshot.runs, text, regex=regex, archived=archived, trash=trash, everything=everything)
    views = sorted_by((view for view in views if view.state.is_active or not active), order, reverse)
    shown = views[:limit] if limit else views
    if as_json:
        from lvmtui.export.text import run_record, to_json

        write(to_json([run_record(view, snapshot.protocols) for view in shown]))
        return
    if shown:
        print_runs(shown, snapshot, fields=fields, group=headings)
    else:
        note(_why_none(snapshot, active=active, filtered=bool(text), shelved=archived or trash))
    if not (archived or trash or everything):
        _say_what_is_shelved(snapshot)
    for run in stalled([view.run for view in snapshot.runs], time.time())[:1]:
        note(stalled_words(run))


def _why_none(snapshot: Snapshot, *, active: bool, filtered: bool, shelved: bool) -> str:
    """Why no run is listed, and what to do."""
    if filtered:
        return "No run fits the filter."
    if active:
        return "No run is active."
    if shelved or any(view.run.shelf is not Shelf.RUNS for view in snapshot.runs):
        return "No run is there."
    return "No runs yet. `lvmtui launch PHASE` starts one."


def _say_what_is_shelved(snapshot: Snapshot) -> None:
    shelves = Counter(view.run.shelf for view in snapshot.runs)
    words = [f"{shelves[Shelf.ARCHIVED]} archived (--archived)"] if shelves[Shelf.ARCHIVED] else []
    words += [f"{shelves[Shelf.TRASH]} in the trash (--trash)"] if shelves[Shelf.TRASH] else []
    if words:
        note(f"Not listed: {names(words)}.")


def show(
    context: typer.Context,
    run: RunArgument,
    hosts: HostOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Show everything about a run."""
    session, found = find_one(session_at(context, store, hosts, run, offline=offline), run)
    look_at(session, found)
    snapshot = take_snapshot(session)
    view = view_of(snapshot, found)
    with reading(session) as reader:
        checkpoints = reader.checkpoints(found.id)
        latencies = reader.latencies(run_id=found.id)
    if as_json:
        from lvmtui.export.text import run_text

        looks = snapshot.test_looks.get(found.data_fingerprint or "", 0)
        write(
            run_text(
                view,
                snapshot.protocols,
                "json",
                checkpoints=checkpoints,
                latencies=latencies,
                looks=looks,
            )
        )
        return
    from lvmtui.cli.render import print_run

    print_run(view, snapshot, checkpoints, latencies)


def logs(
    context: typer.Context,
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="The last N lines; 0: all.")] = 0,
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """Print the output of a run's process. Without -n all of it, which is fetched from another machine."""
    session, found = find_one(session_at(context, store, hosts, run), run)
    look_at(session, found)
    with reading(session) as reader:
        from lvmtui.cli.logfile import LogReader
        from lvmtui.launcher import run_folder
        from lvmtui.reading import LOG_NAME

        path = run_folder(reader.database, found) / LOG_NAME
        if not path.is_file() and not follow:
            raise LvmtuiError(f"{found.name} has no log yet", "" if found.origin else f"It will be {path}.")
        log = LogReader(path)
        for text in _begun(session, reader, found, log, lines, whole_lines=follow)[-lines:]:
            line(text)
        if follow:
            _follow(session, reader, found, log)


def _follow(session: Session, reader: Reader, run: Run, log: LogReader) -> None:
    """Print what comes until the run ends."""
    from lvmtui.cli.contacts import Contacts, is_over

    contacts = Contacts(session)
    while True:
        over = is_over(reader, reader.run(run.id))
        if over and run.origin:
            time.sleep(LAST_SECONDS)
        for text in log.read(whole_lines=not over):
            line(text)
        if over:
            return
        contacts.tell()
        time.sleep(FOLLOW_SECONDS)


def _begun(
    session: Session, reader: Reader, run: Run, log: LogReader, lines: int, *, whole_lines: bool
) -> list[str]:
    """The lines that are there now. Of another machine's run only the log's end is here: where that is not
    enough, all of it is fetched."""
    from lvmtui.remote.mirrors.reader import MirrorReader

    missing = 0
    if isinstance(reader, MirrorReader) and log.path.is_file():
        missing = reader.log_bytes(run.id) - log.path.stat().st_size
    texts = log.read(whole_lines=whole_lines)
    if missing <= 0 or session.machines is None or 0 < lines < len(texts):
        return texts
    with TemporaryDirectory(prefix="lvmtui-") as folder:
        whole = Path(folder) / log.path.name
        try:
            session.machines.fetch_log(run, whole)
        except RemoteError as error:
            note(f"The first {size(missing)} are left out: {error.message}")
            return texts
        return log.before(whole)


def plot(
    context: typer.Context,
    run: RunArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", metavar="KEY", help="val/hit5, train/loss, …; may be repeated."),
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=20, max=500, help="Columns; otherwise the terminal's.")
    ] = None,
    height: Annotated[int, typer.Option(min=6, max=200, help="Lines.")] = 20,
    hosts: HostOption = None,
    offline: OfflineOption = False,
    store: StoreOption = None,
) -> None:
    """Draw curves of a run right here."""
    session, found = find_one(session_at(context, store, hosts, run, offline=offline), run)
    look_at(session, found)
    with reading(session) as reader:
        from lvmtui.reading import series

        every = series(reader.metrics(found.id))
    if not every:
        raise LvmtuiError(
            f"{found.name} has no metrics yet", f"`lvmtui logs {ref(found)} -f` shows what it does."
        )
    wanted = (
        metric or [key for key in ("val/hit1", "val/hit5", "val/hit10") if key in every] or ["train/loss"]
    )
    chosen = {key: _metric_series(key, every) for key in wanted}
    from lvmtui.charts.inline import plot_inline
    from lvmtui.cli.tables import make_console

    colour = make_console().color_system is not None and terminal_width() is not None
    text = plot_inline(
        {key: (item.epoch, item.value) for key, item in chosen.items()},
        title=f"{found.name} by epoch",
        width=width or terminal_width() or 100,
        height=height,
        colour=colour,
    )
    write(text if text.endswith("\n") else f"{text}\n")


def _metric_series(key: str, every: dict[str, Series]) -> Series:
    for name in (key, f"val/{key}", f"train/{key}"):
        if name in every:
            return every[name]
    raise UsageError(
        f"there is no metric {key!r}", f"It has: {', '.join(plain(name) for name in sorted(every))}."
    )


EquateOption = Annotated[
    int | None,
    typer.Option("--equate", metavar="POOL", help="One table: all scores on a pool of POOL candidates."),
]


def leaderboard(
    context: typer.Context,
    text: FilterOption = "",
    regex: RegexOption = False,
    phase: Annotated[str, typer.Option(metavar="PHASE", help="Only runs of this phase.")] = "",
    by_phase: Annotated[
        bool, typer.Option("--by-phase", help="One row a recipe: mean ± sd over its seeds.")
    ] = False,
    equate: EquateOption = None,
    archived: ArchivedOption = False,
    everything: AllOption = False,
    hosts: HostsOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Rank runs and baselines, each protocol for itself, or all on a common pool. Ranks are among the runs
    that are shown."""
    session = session_at(context, store, hosts, offline=offline)
    snapshot = take_snapshot(session)
    views = pick(snapshot.runs, text, regex=regex, archived=archived, everything=everything)
    views = [view for view in views if phase in {"", view.run.phase}]
    groups = groups_of(session, snapshot, views, equate)
    if as_json:
        from lvmtui.export.text import leaderboard_record, to_json

        write(to_json(leaderboard_record(groups, snapshot.protocols)))
        return
    if not groups and len(views) < len(snapshot.runs):
        note("No run that fits has been evaluated yet.")
        return
    print_leaderboard(groups, by_phase=by_phase, unjudged=_unjudged(views))


def groups_of(
    session: Session, snapshot: Snapshot, views: Sequence[RunView], equate: int | None
) -> tuple[Group, ...]:
    """The leaderboard by protocol, or as one group on a common pool.

    Raises:
        UsageError: the common pool is too small.
    """
    from lvmtui.leaderboard import ranking

    if equate is None:
        return ranking.leaderboard_of(snapshot, views)
    from lvmtui.leaderboard.equating import equated_board

    fetch_ranks(session, [view.run for view in views if view.best is not None])
    with reading(session) as reader:
        group = equated_board(reader, snapshot, views, equate)
    return (group,) if group.rows or group.notes else ()


def _unjudged(views: list[RunView]) -> int:
    return sum(view.best is None for view in views)


def print_leaderboard(groups: tuple[Group, ...], *, by_phase: bool = False, unjudged: int = 0) -> None:
    """Print the groups of a leaderboard."""
    from lvmtui.cli.boards import print_group

    if not groups:
        note("No run has been evaluated yet.")
        return
    for index, group in enumerate(groups):
        if index:
            line()
        print_group(group, phases=by_phase)
    if unjudged:
        note(f"{unjudged} more without an evaluation.")
