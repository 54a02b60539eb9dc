"""`lvmtui hosts`: the machines that have a name, and whether they can be reached."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.cli.session import JsonOption, YesOption, ask, line, note, write
from lvmtui.errors import UsageError
from lvmtui.format import counted

if TYPE_CHECKING:
    from lvmtui.config import Config
    from lvmtui.doctor import Check

hosts = typer.Typer(
    help="Name the machines that are watched over SSH, and try whether they can be reached.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a host.", show_default=False)]


def settings() -> Config:
    """The user's settings.

    Raises:
        UsageError: they cannot be read.
    """
    from lvmtui.commands import BY_ID
    from lvmtui.config import load_config

    return load_config(commands=BY_ID)


@hosts.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.", show_default=False)],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="[DESTINATION]",
            help="What ssh takes: an alias of its settings, me@gpu1, ssh://me@gpu1:2222; with :STORE behind "
            "it where the store is not the default one there. Left out: the name.",
            show_default=False,
        ),
    ] = "",
    store: Annotated[
        str, typer.Option("--store", metavar="PATH", help="Its store, relative to the login folder there.")
    ] = "",
    command: Annotated[
        str,
        typer.Option("--command", metavar="COMMAND", help="How lvmtui is called there; else it is found."),
    ] = "",
    no_watch: Annotated[bool, typer.Option("--no-watch", help="Watched only where --host names it.")] = False,
) -> None:
    """Add a host to config.toml; everything else in it stays as it is."""
    from lvmtui.remote.host_settings import add_host
    from lvmtui.remote.hosts import check_store, parse_host, words_of

    host = parse_host(destination or name, {})
    if store and host.store:
        raise UsageError(f"two stores are named: {host.store!r} and {store!r}", "Leave one out.")
    if store:
        check_store(store)
        host = replace(host, store=store.removeprefix("~/"))
    host = replace(
        host,
        name=name if destination else host.name,
        command=words_of(command, "--command"),
        watch=not no_watch,
    )
    file = add_host(host)
    note(f"added {host.name} to {file}; `lvmtui hosts test {host.name}` tries it")


@hosts.command("ls")
def ls(as_json: JsonOption = False) -> None:
    """List the hosts of config.toml."""
    from lvmtui.cli.tables import Column, print_table
    from lvmtui.export.text import to_json
    from lvmtui.paths import config_file

    found = settings().hosts
    if as_json:
        rows = [
            {
                "name": host.name,
                "destination": host.destination,
                "store": host.store,
                "command": list(host.command),
                "watch": host.watch,
            }
            for host in found.values()
        ]
        write(to_json(rows))
        return
    if not found:
        note(f"There are no hosts in {config_file()} yet: `lvmtui hosts add NAME` adds one.")
        return
    print_table(
        [
            Column("name"),
            Column("ssh"),
            Column("store", shrinks=True),
            Column("watched"),
            Column("command", drop=1),
        ],
        [
            [
                host.name,
                host.destination,
                host.store or "its default",
                "yes" if host.watch else "no",
                " ".join(host.command),
            ]
            for host in found.values()
        ],
    )


@hosts.command("rm")
def rm(name: NameArgument, yes: YesOption = False) -> None:
    """Take a host out of config.toml, and delete the copy of its runs here; its machine and runs stay as they
    are."""
    from lvmtui.remote.host_settings import remove_host
    from lvmtui.remote.leaving import forget, requests_left

    host = settings().hosts.get(name)
    if host is not None:
        left = [entry.words for entry in requests_left(host)]
        if left:
            waits = f"{counted(len(left), 'request')} {'waits' if len(left) == 1 else 'wait'}"
            ask(f"{waits} for {name} ({', '.join(left[:3])}) and would be dropped. Take it out", yes=yes)
        forget(host)
    note(f"took {name} out of {remove_host(name)}")


@hosts.command("test")
def try_out(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Hosts; all of config.toml where left out.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Connect to hosts, step by step: what fails, why, and what to do. Exit code 1 where something fails."""
    examine(tuple(names or ()), as_json=as_json)


def examine(names: tuple[str, ...], *, as_json: bool) -> None:
    """Print the steps of reaching hosts as they are taken.

    Args:
        names: hosts as `--host` takes them; none: all of the settings.

    Raises:
        UsageError: there is no host.
        typer.Exit: with 1, where a step failed.
    """
    from dataclasses import asdict

    from lvmtui.export.text import to_json
    from lvmtui.remote.host_doctor import examine_host
    from lvmtui.remote.hosts import parse_hosts
    from lvmtui.remote.ssh import ssh_words

    config = settings()
    found = parse_hosts(names, config.hosts) if names else tuple(config.hosts.values())
    if not found:
        raise UsageError("there are no hosts to try", "Name one, or add it: `lvmtui hosts add NAME`.")
    report: dict[str, list[Check]] = {}
    for host in found:
        if not as_json:
            line(f"{host.name} ({host.destination})")
        for check in examine_host(host, ssh_words(config)):
            report.setdefault(host.name, []).append(check)
            if not as_json:
                print_check(check)
    if as_json:
        write(to_json({name: [asdict(check) for check in checks] for name, checks in report.items()}))
    if any(check.needed and check.passed is False for checks in report.values() for check in checks):
        raise typer.Exit(1)


def print_check(check: Check) -> None:
    """One line, and what to do below it."""
    line(f"{check.glyph} {check.word:<8}  {check.name}: {check.words}")
    if check.hint:
        line(f"             {check.hint}")
