"""Subcommands that keep runs in order: pin, archive, rm, restore, trash, note, tag."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import (
    RUN_HELP,
    HostOption,
    HostsOption,
    JsonOption,
    RunArgument,
    Session,
    StoreOption,
    YesOption,
    ask,
    changing_at,
    find_run,
    line,
    names,
    note,
    perform,
    reading,
    ref,
    session_at,
    write,
)
from lvmtui.errors import UsageError
from lvmtui.format import counted, duration, plain, size

if TYPE_CHECKING:
    from lvmtui.store.records import Run

RunsArgument = Annotated[
    list[str],
    typer.Argument(metavar="RUN…", help=f"Runs: {RUN_HELP}", show_default=False),
]

_TAG = re.compile(r"[^,\s][^,]{0,60}")


def pin(
    context: typer.Context, runs: RunsArgument, hosts: HostsOption = None, store: StoreOption = None
) -> None:
    """Keep runs on top of lists."""
    session = changing_at(context, store, hosts, "pin", *runs)
    _each(session, runs, "pin")


def unpin(
    context: typer.Context, runs: RunsArgument, hosts: HostsOption = None, store: StoreOption = None
) -> None:
    """Pin runs no longer."""
    session = changing_at(context, store, hosts, "unpin", *runs)
    _each(session, runs, "pin", on=False)


def archive(
    context: typer.Context, runs: RunsArgument, hosts: HostsOption = None, store: StoreOption = None
) -> None:
    """Take runs out of lists, leaderboards and exports; `lvmtui ls --archived` shows them."""
    session = changing_at(context, store, hosts, "archive", *runs)
    _each(session, runs, "archive")


def unarchive(
    context: typer.Context, runs: RunsArgument, hosts: HostsOption = None, store: StoreOption = None
) -> None:
    """Bring archived runs back."""
    session = changing_at(context, store, hosts, "unarchive", *runs)
    _each(session, runs, "archive", on=False)


def rm(
    context: typer.Context, runs: RunsArgument, hosts: HostsOption = None, store: StoreOption = None
) -> None:
    """Put runs into the trash. Nothing of them is deleted before `lvmtui trash empty`."""
    session = changing_at(context, store, hosts, "rm", *runs)
    _each(session, runs, "trash", told="; `lvmtui restore {}` takes it out")


def restore(
    context: typer.Context, runs: RunsArgument, hosts: HostsOption = None, store: StoreOption = None
) -> None:
    """Take runs out of the trash."""
    session = changing_at(context, store, hosts, "restore", *runs)
    _each(session, runs, "restore")


trash = typer.Typer(help="Look into the trash, or empty it.", invoke_without_command=True)


@trash.callback()
def _trash(context: typer.Context, hosts: HostsOption = None) -> None:
    if context.invoked_subcommand is None:
        list_trash(context, hosts)
        return
    root = context.find_root()
    root.obj = replace(root.obj, named=tuple(hosts or root.obj.named))


@trash.command("ls")
def list_trash(
    context: typer.Context, hosts: HostsOption = None, as_json: JsonOption = False, store: StoreOption = None
) -> None:
    """List the runs in the trash, the longest there first."""
    runs = _in_trash(session_at(context, store, hosts))
    if as_json:
        from lvmtui.export.text import to_json

        write(
            to_json(
                [
                    {
                        "run_id": run.number,
                        "run": run.name,
                        "trashed": run.trashed,
                        "origin": run.origin or None,
                    }
                    for run in runs
                ]
            )
        )
        return
    if not runs:
        note("The trash is empty.")
    now = time.time()
    for run in runs:
        line(f"{run.name}  {duration(now - (run.trashed or now))} ago")


@trash.command("empty")
def empty_trash(
    context: typer.Context,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Only runs that have been there so long: 30d, 12h.")
    ] = "",
    yes: YesOption = False,
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """Delete the runs in the trash for good, with their checkpoints, metrics and logs."""
    from lvmtui import shelving
    from lvmtui.filters.values import seconds

    session = changing_at(context, store, hosts, "trash empty")
    least = seconds(older_than) if older_than else 0.0
    if least is None:
        raise UsageError(f"--older-than {older_than}: not a span of time", "For example: 30d, 12h.")
    runs = _in_trash(session, least)
    if not runs:
        note("The trash is empty." if not older_than else f"Nothing has been in the trash for {older_than}.")
        return
    shown = names(
        [plain(run.name) for run in runs[:5]] + ([f"{len(runs) - 5} more"] if len(runs) > 5 else [])
    )
    ask(f"Delete {shown} for good, with checkpoints, metrics and logs? This cannot be undone", yes=yes)
    if session.machines is not None:
        numbers = [run.number for run in runs]
        line(session.machines.ask("delete", {"runs": numbers}, f"delete {shown}", runs[0]).words)
        return
    deleted = shelving.delete_for_good(session.store, [run.id for run in runs])
    line(f"{counted(len(deleted), 'run')} deleted, {size(sum(item.size for item in deleted))} freed")
    for item in deleted:
        if item.leftover:
            note(f"Files of {item.run.name} are left in {item.leftover}")


def _in_trash(session: Session, least: float = 0.0) -> list[Run]:
    """The runs that have been in the trash for so many seconds, the longest there first."""
    from lvmtui import shelving

    if session.machines is None:
        return shelving.in_trash(session.store, least)
    with reading(session) as reader:
        found = [
            run for run in reader.runs() if run.trashed is not None and run.trashed <= time.time() - least
        ]
    return sorted(found, key=lambda run: run.trashed or 0.0)


def annotate(
    context: typer.Context,
    run: RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The note; '' takes it away.")],
    hosts: HostOption = None,
    store: StoreOption = None,
) -> None:
    """Write a note on a run, in place of the one it has."""
    session = changing_at(context, store, hosts, "note", run)
    found = find_run(session, run)
    perform(session, found, "annotate", note=text.strip())
    line(f"{found.name}: {text.strip()}" if text.strip() else f"{found.name} has no note now")


def tag(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="RUN… +TAG -TAG…", help="Runs, tags to add and tags to take away."),
    ],
    hosts: HostsOption = None,
    store: StoreOption = None,
) -> None:
    """Add tags to runs (+sweep) or take them away (-old)."""
    changes = [word for word in words if word[:1] in {"+", "-"}]
    texts = [word for word in words if word[:1] not in {"+", "-"}]
    session = changing_at(context, store, hosts, "tag", *texts)
    runs = [find_run(session, text) for text in texts]
    if not runs or not changes:
        raise UsageError("tag needs runs and tags", "For example: lvmtui tag 17 18 +good -old")
    for change in changes:
        if not _TAG.fullmatch(change[1:]) or plain(change) != change:
            raise UsageError(f"{change[1:]!r} is no tag", "A tag has no comma and at most 60 characters.")
    for run in {run.id: run for run in runs}.values():
        now = changed_tags(run.tags, changes)
        perform(session, run, "annotate", tags=now)
        line(f"{run.name}: {now or 'no tags'}")


def changed_tags(tags: str, changes: list[str]) -> str:
    """The tags of a run, with commas between them, after some were added (`+x`) or taken away (`-x`)."""
    kept = [tag.strip() for tag in tags.split(",") if tag.strip()]
    for change in changes:
        name = change[1:].strip()
        kept = [tag for tag in kept if tag != name]
        if change.startswith("+"):
            kept.append(name)
    return ", ".join(kept)


def _each(session: Session, texts: list[str], what: str, *, told: str = "", **arguments: object) -> None:
    """Change each run and say so. All are looked up before the first is changed."""
    for run in {run.id: run for run in [find_run(session, text) for text in texts]}.values():
        line(perform(session, run, what, **arguments) + told.format(ref(run)))
